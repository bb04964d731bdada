"""``RevocationService``: serve the revoked tokens that this edge knows to the services over gRPC."""

from __future__ import annotations

import asyncio
import contextlib
import math
from typing import TYPE_CHECKING, Any, Final

from chassis.caller import require_process
from chassis.errors import Draining, StoreUnavailable
from chassis.server import Server
from partstream.identity.v1 import revocation_service_pb2 as messages
from partstream.identity.v1.revocation_service_pb2_grpc import (
    RevocationServiceServicer,
    add_RevocationServiceServicer_to_server,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from chassis.revocation.listing import Revocation
    from chassis.tokens import TokenVerifier
    from edge.identity.revocation_feed import RevocationFeed

SERVICE: Final[str] = messages.DESCRIPTOR.services_by_name["RevocationService"].full_name

HEARTBEAT_SECONDS: Final = 1.0
_CONFIRMED_SECONDS: Final = 2.0  # the list is confirmed every half second while the database can be read
_PER_MESSAGE: Final = 5000  # about 60 bytes each


class RevocationServicer(RevocationServiceServicer):
    """Serves the revocation list of one edge."""

    def __init__(self, feed: RevocationFeed) -> None:
        """Serve what the feed reads."""
        self._feed = feed

    async def WatchRevocations(  # noqa: N802
        self, request: messages.WatchRevocationsRequest, context: Any
    ) -> AsyncIterator[messages.WatchRevocationsResponse]:
        """Yield the list, then each change; heartbeats while the list is confirmed."""
        del request, context
        require_process()
        entries = self._feed.entries
        with self._feed.subscribe() as queue:
            self._require_confirmed()
            for page in _pages(entries.entries()):
                yield _message(page, complete=False)
            yield _message((), complete=True)
            while True:
                batch: Sequence[Revocation] | None = ()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(HEARTBEAT_SECONDS):
                        batch = await queue.get()
                if batch is None:
                    message = "The server is shutting down: connect to another edge."
                    raise Draining(message)
                self._require_confirmed()
                yield _message(batch, complete=True)

    def _require_confirmed(self) -> None:
        """Raise ``StoreUnavailable`` when the list is old: without its database, an edge cannot update it."""
        if self._feed.entries.age > _CONFIRMED_SECONDS:
            message = "The edge cannot read its database: connect to another edge."
            raise StoreUnavailable(message)


def build_revocation_server(feed: RevocationFeed, verifier: TokenVerifier) -> Server:
    """Return a gRPC server for the services of this system."""
    server = Server(SERVICE, verifier=verifier, revocations=feed.entries, pack=lambda _: None, pings=(), has_log=False)
    add_RevocationServiceServicer_to_server(RevocationServicer(feed), server.grpc_server)
    return server


def _pages(entries: Sequence[Revocation]) -> Sequence[Sequence[Revocation]]:
    return [entries[start : start + _PER_MESSAGE] for start in range(0, len(entries), _PER_MESSAGE)]


def _message(revocations: Sequence[Revocation], *, complete: bool) -> messages.WatchRevocationsResponse:
    message = messages.WatchRevocationsResponse(complete=complete)
    for revocation in revocations:
        item = message.revocations.add()
        setattr(item, f"{revocation.kind}_id", revocation.subject)
        for name, seconds in (("not_before", revocation.not_before), ("expire_time", revocation.expires_at)):
            if not math.isinf(seconds):
                getattr(item, name).FromMicroseconds(round(seconds * 1e6))
    return message
