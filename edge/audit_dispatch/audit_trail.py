"""The audit trail as reads see it: they wait, within a bound, until it holds what their caller has seen.

The trail is written by a worker that follows the logs, some 50 ms behind a write.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from tasks.audit.queries import TrailPosition, position_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from changelog import cursor as cursors
    from chassis.database import Database

WAIT_SECONDS: Final = 2.0
POLL_SECONDS: Final = 0.01  # a look takes 0.3 ms of the audit database, and serves every read that waits


class AuditTrail:
    """The audit database, and how far it has come."""

    def __init__(self, database: Database, *, wait_seconds: float = WAIT_SECONDS) -> None:
        """Without a wait, one look decides: for an edge that queues no audit jobs."""
        self.database = database
        self._wait_seconds = wait_seconds
        self._looking = asyncio.Lock()
        self._seen: dict[str, tuple[float, TrailPosition | None]] = {}

    async def reached(self, wanted: Iterable[cursors.Position]) -> bool:
        """Return whether every entry up to these positions is stored; false only after the wait."""
        deadline = time.monotonic() + self._wait_seconds
        behind = list(wanted)
        while True:
            behind = [position for position in behind if not _holds(await self._look(position.log), position)]
            if not behind:
                return True
            if time.monotonic() + POLL_SECONDS > deadline:
                return False
            await asyncio.sleep(POLL_SECONDS)

    async def _look(self, log: str) -> TrailPosition | None:
        """Return the position, at most ``POLL_SECONDS`` old: one query for all who wait."""
        async with self._looking:
            looked_at, stored = self._seen.get(log, (float("-inf"), None))
            if time.monotonic() - looked_at >= POLL_SECONDS:
                stored = await position_of(self.database.pool, log)
                self._seen[log] = (time.monotonic(), stored)
            return stored


def _holds(stored: TrailPosition | None, wanted: cursors.Position) -> bool:
    if stored is None:
        return wanted.revision == 0  # nothing was ever written
    return stored.epoch == wanted.epoch and stored.revision >= wanted.revision
