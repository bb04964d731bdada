"""Calls to the services that outlast a restart: the same request is sent again until it is answered.

Safe only because every write carries a request id that the service claims together with the effect.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import TYPE_CHECKING, TypeVar

import grpc

from chassis import errors
from chassis.rich_status import from_rpc_error
from stack.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from google.protobuf.message import Message

ResponseT = TypeVar("ResponseT")

CALL_SECONDS = 30.0  # a batch of 1,000 takes about 0.1 s; a database that restarts holds one up for seconds
FIRST_WAIT_SECONDS = 0.05
LONGEST_WAIT_SECONDS = 2.0

log = logging.getLogger(__name__)


class ServiceGone(StackError):
    """A service did not answer for longer than the verb is willing to wait."""


class PatientCalls:
    """Sends requests until they are answered or `patience_seconds` have passed without any answer at all."""

    def __init__(self, patience_seconds: float) -> None:
        self._patience = patience_seconds
        self._last_answer = time.monotonic()
        self.repeats = 0

    async def __call__(self, method: Callable[..., Awaitable[ResponseT]], request: Message) -> ResponseT:
        """Answer the response. Raises a refusal as PartstreamError, and ServiceGone when patience is over."""
        attempt = 0
        started = time.monotonic()
        while True:
            try:
                response = await method(request, timeout=CALL_SECONDS)
            except grpc.aio.AioRpcError as fault:
                refusal = from_rpc_error(fault)
                if not _passes_by_itself(refusal):
                    self._last_answer = time.monotonic()
                    raise refusal from fault
                self._give_up_in_time(max(started, self._last_answer), refusal)
                attempt += 1
                self.repeats += 1
                await asyncio.sleep(_wait(attempt, refusal))
            else:
                self._last_answer = time.monotonic()
                return response

    def _give_up_in_time(self, since: float, refusal: errors.PartstreamError) -> None:
        if time.monotonic() - since > self._patience:
            message = f"No answer for {self._patience:.0f} s: {refusal.message} Run the same command again to go on."
            raise ServiceGone(message) from refusal


def _passes_by_itself(refusal: errors.PartstreamError) -> bool:
    """Tell a service that is away, busy or broken for the moment from one that said no."""
    return isinstance(
        refusal,
        errors.Unavailable | errors.DeadlinePassed | errors.Overloaded | errors.TokenExpired | errors.InternalFault,
    )


def _wait(attempt: int, refusal: errors.PartstreamError) -> float:
    """Full jitter under a doubling bound; at least what the service asked for."""
    bound = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** min(attempt, 10))
    asked = refusal.retry_after_seconds or 0.0 if isinstance(refusal, errors.Overloaded) else 0.0
    return max(asked, random.uniform(0, bound))  # noqa: S311 - spreads retries, guards nothing
