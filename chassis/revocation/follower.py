"""Follows the revocations of the edges: one stream at a time, from any of them."""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import random
import time
from typing import TYPE_CHECKING, Final, Literal

import grpc

from chassis.background import Backoff, end
from chassis.channels import open_channel
from chassis.revocation.listing import KNOWN_SECONDS, Revocation
from partstream.identity.v1.revocation_service_pb2 import WatchRevocationsRequest
from partstream.identity.v1.revocation_service_pb2_grpc import RevocationServiceStub

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chassis.revocation.listing import RevocationList
    from chassis.tls import ClientTls
    from partstream.identity.v1 import revocation_service_pb2 as messages

log = logging.getLogger(__name__)

SILENCE_SECONDS: Final = 3.0  # three heartbeats: the connection is dead, use another edge


class RevocationFollower:
    """Keeps a list up to date from the edges. The list knows when it is too old."""

    def __init__(
        self,
        targets: Sequence[str],
        token: Callable[[], str],
        revocations: RevocationList,
        tls: ClientTls | None = None,
    ) -> None:
        """``targets`` are the addresses of the edges' gRPC servers; ``token`` returns that of this process."""
        self._targets = targets
        self._token = token
        self._revocations = revocations
        self._tls = tls
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Follow in the background."""
        self._task = asyncio.create_task(self._run(), name="revocations")

    async def stop(self) -> None:
        """Stop following."""
        if self._task is not None:
            await end(self._task)
            self._task = None

    async def _run(self) -> None:
        backoff, quiet_until = Backoff(0.1, 1.0), time.monotonic() + KNOWN_SECONDS
        order = random.sample(list(self._targets), len(self._targets))  # spreads the services over the edges
        for target in itertools.cycle(order):
            try:
                await self._follow(target, backoff)
            except (grpc.aio.AioRpcError, TimeoutError) as error:
                why = error.details() if isinstance(error, grpc.aio.AioRpcError) else "no heartbeat"
                # Services start before the edges that they follow.
                age = self._revocations.age
                is_starting = math.isinf(age) and time.monotonic() < quiet_until
                level = logging.DEBUG if is_starting else logging.WARNING
                log.log(level, "revocation feed unavailable target=%s age_seconds=%.1f reason=%r", target, age, why)
            await asyncio.sleep(backoff.next())

    async def _follow(self, target: str, backoff: Backoff) -> None:
        async with open_channel([target], token=self._token, tls=self._tls) as channel:
            call = RevocationServiceStub(channel).WatchRevocations(WatchRevocationsRequest())
            try:
                while True:
                    async with asyncio.timeout(SILENCE_SECONDS):
                        message = await call.read()
                    if message is grpc.aio.EOF:
                        return
                    self._take(message)  # type: ignore[arg-type] # the sentinel is excluded above
                    backoff.reset()
            finally:
                call.cancel()

    def _take(self, message: messages.WatchRevocationsResponse) -> None:
        self._revocations.apply(from_message(item) for item in message.revocations if item.WhichOneof("subject"))
        if message.complete:
            self._revocations.confirm()


def from_message(message: messages.Revocation) -> Revocation:
    """Return the revocation in a message."""
    expires_at = _seconds(message, "expire_time")
    match message.WhichOneof("subject"):
        case "user_id":
            return Revocation("user", message.user_id, _seconds(message, "not_before"), expires_at)
        case "key_id":
            return Revocation("key", message.key_id, expires_at=expires_at)
        case _:
            return Revocation("session", message.session_id, expires_at=expires_at)


def _seconds(message: messages.Revocation, name: Literal["not_before", "expire_time"]) -> float:
    """Return a timestamp as seconds since the epoch; infinite when it is not set."""
    return getattr(message, name).ToMicroseconds() / 1_000_000 if message.HasField(name) else math.inf
