"""The audit trail for reads: wait until it has reached a position, and alert when it does not advance.

A worker that follows the logs writes the trail, some 50 ms behind a write.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from chassis.background import BackgroundService
from chassis.store_errors import CONNECTION_LOST
from tasks.audit.queries import TrailPosition, position_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import asyncpg

    from changelog import cursor as cursors
    from changelog.cursor import Position
    from chassis.database import Database
    from tasks.alerts.reporter import Alerts

WAIT_SECONDS: Final = 2.0
POLL_SECONDS: Final = 0.01  # a read of the position takes 0.3 ms of the audit database, and serves every waiting read


class AuditTrail:
    """The audit database and its position in each log."""

    def __init__(self, database: Database, *, wait_seconds: float = WAIT_SECONDS) -> None:
        """Without ``wait_seconds`` the position is read once: for an edge that sends no audit jobs."""
        self.database = database
        self._wait_seconds = wait_seconds
        self._looking = asyncio.Lock()
        self._seen: dict[str, tuple[float, TrailPosition | None]] = {}

    async def reached(self, wanted: Iterable[cursors.Position]) -> bool:
        """Return whether every entry up to these positions is stored; false only at the timeout."""
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
        """Return the position, at most ``POLL_SECONDS`` old: one query for all waiting reads."""
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


STALLED_ALERT: Final = "audit_trail_stalled"
WATCH_SECONDS: Final = 5.0
STALLED_SECONDS: Final = 30.0  # behind for so long without progress; 50 ms are usual, a lost job costs 3 s


class AuditWatch(BackgroundService):
    """Compares the trail with the position of this process in each log.

    The cause of a stall may be the dispatcher, Redis, the worker or the audit database.
    """

    def __init__(
        self,
        trail: asyncpg.Pool[asyncpg.Record],
        seen: Callable[[str], Position | None],
        logs: Iterable[str],
        alerts: Alerts,
        *,
        stalled_seconds: float = STALLED_SECONDS,
    ) -> None:
        """``seen`` returns the position of this process in a log, if it has one."""
        super().__init__("audit-watch", WATCH_SECONDS)
        self._trail = trail
        self._seen = seen
        self._alerts = alerts
        self._stalled_seconds = stalled_seconds
        self._stored: dict[str, TrailPosition | None] = {}
        # When the trail last advanced, or was complete.
        self._moved_at = dict.fromkeys(logs, time.monotonic())

    async def run_once(self) -> None:
        """Check the trail of each log."""
        for name in self._moved_at:
            seen = self._seen(name)
            if seen is not None:
                await self._look(name, seen)

    async def _look(self, name: str, seen: Position) -> None:
        now = time.monotonic()
        try:
            stored = await position_of(self._trail, name)
        except CONNECTION_LOST:
            behind, detail = True, "the audit database is unavailable"
        else:
            behind = _is_behind(stored, seen)
            reached = 0 if stored is None else stored.revision
            detail = f"the trail of the {name} log has reached revision {reached}, the log at least {seen.revision}"
            if not behind or stored != self._stored.get(name):
                self._moved_at[name] = now
            self._stored[name] = stored
        if not behind:
            self._alerts.resolve(STALLED_ALERT, name)
        elif now - self._moved_at[name] >= self._stalled_seconds:
            self._alerts.fire(STALLED_ALERT, name, detail)


def _is_behind(stored: TrailPosition | None, seen: Position) -> bool:
    if stored is None:
        return seen.revision > 0
    return stored.epoch != seen.epoch or stored.revision < seen.revision
