"""Read-your-writes: ``Partstream-Revision`` in responses, ``Partstream-Min-Revision`` in requests."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Protocol

from changelog import cursor as cursors
from chassis.errors import CursorMalformed, RevisionNotYetServed
from edge.http.request_context import current_request_context
from edge.metrics import REVISION_WAITS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from litestar import Request

OUT: Final = "Partstream-Revision"
IN: Final = "Partstream-Min-Revision"
COOKIE: Final = "partstream_revision"
WAIT_SECONDS: Final = 0.25  # a follower is about 10 ms behind; with a larger lag the service is called instead


class Follows(Protocol):
    """The follower of one log, as far as reads need it."""

    @property
    def cursor(self) -> str:
        """Return the applied position; empty before the first message."""

    async def reached(self, position: cursors.Position, timeout_seconds: float) -> None:
        """Return once the position was applied; raise ``RevisionNotYetServed`` after the timeout."""


@lru_cache(maxsize=4096)
def merged(*tokens: str) -> str:
    """Merge tokens; cached, because one position is sent with many responses."""
    return cursors.merge(*tokens)


class RevisionGate:
    """Decides whether the caches have the revision that a read requires."""

    def __init__(self, followers: Mapping[str, Follows], shown: Callable[[], str] = lambda: "") -> None:
        """Take the follower of each log, by log name; without one, reads bypass the caches.

        ``shown`` returns the newest revision that a service's response to any caller had.
        """
        self._followers = followers
        self._shown = shown

    def position(self) -> str:
        """Return the position that this edge has applied of every log."""
        return merged(*(follower.cursor for follower in self._followers.values() if follower.cursor))

    def newest(self, request: Request[Any, Any, Any]) -> Mapping[str, cursors.Position]:
        """Return the newest position of each log that this edge or the caller has received.

        Raise ``CursorMalformed`` for a malformed revision.

        Includes every write acknowledged through this edge, before its followers have it.
        """
        return cursors.decode(merged(self._shown(), self.position(), self.wanted(request)))

    def wanted(self, request: Request[Any, Any, Any]) -> str:
        """Return the minimum revision that the caller requires; raise ``CursorMalformed`` for a malformed one."""
        text = request.headers.get(IN)
        if not text:
            return self._known(request.cookies.get(COOKIE, ""))
        cursors.decode(text)
        return text

    def _known(self, cookie: str) -> str:
        """Return the revision of a browser's cookie without positions of lost epochs; empty for a malformed cookie.

        Else a browser that was open while a database was restored would get errors until the cookie expires.
        """
        try:
            positions = cursors.decode(cookie)
        except CursorMalformed:
            return ""
        valid = [position for log, position in positions.items() if not self._is_of_lost_epoch(log, position)]
        return cursors.encode(*valid) if valid else ""

    def _is_of_lost_epoch(self, log: str, position: cursors.Position) -> bool:
        follower = self._followers.get(log)
        here = cursors.position_in(follower.cursor, log) if follower is not None else None
        return here is not None and here.epoch != position.epoch

    async def settle(self, request: Request[Any, Any, Any]) -> str:
        """Wait for the caches; return the revision that a read must request from the services, or an empty text.

        Raise ``CursorMalformed`` (400) for a malformed revision. The service rejects a revision that does not exist.
        """
        wanted = self.wanted(request)
        if not wanted:
            return ""
        deadline = time.monotonic() + WAIT_SECONDS  # one for all logs, not one after the other
        open_positions = [
            position
            for log, position in cursors.decode(wanted).items()
            if not await self._reached(log, position, deadline)
        ]
        REVISION_WAITS.labels("read_through" if open_positions else "followed").inc()
        return cursors.encode(*open_positions) if open_positions else ""

    async def _reached(self, log: str, position: cursors.Position, deadline: float) -> bool:
        follower = self._followers.get(log)
        if follower is None:
            return False
        try:
            await follower.reached(position, max(0.0, deadline - time.monotonic()))
        except RevisionNotYetServed:
            return False
        current_request_context().promised[log] = position.epoch
        return True
