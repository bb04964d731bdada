"""Whether the audit trail advances, as every edge sees it: it knows the change logs, and reads the trail.

The cause may be anything between the two: the dispatcher, Redis, the worker, or the audit database.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from chassis.background import BackgroundService
from chassis.store_errors import CONNECTION_LOST
from tasks.audit.queries import TrailPosition, position_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import asyncpg

    from changelog.cursor import Position
    from tasks.alerts.reporter import Alerts

ALERT: Final = "audit_trail_stalled"
INTERVAL_SECONDS: Final = 5.0
STALLED_SECONDS: Final = 30.0  # behind for so long without a step; 50 ms are usual, a lost job costs 3 s


class AuditWatch(BackgroundService):
    """Compares the trail with what this process has seen of each log."""

    def __init__(
        self,
        trail: asyncpg.Pool[asyncpg.Record],
        seen: Callable[[str], Position | None],
        logs: Iterable[str],
        alerts: Alerts,
        *,
        stalled_seconds: float = STALLED_SECONDS,
    ) -> None:
        """``seen`` returns the position that this process has reached in a log, if it has one."""
        super().__init__("audit-watch", INTERVAL_SECONDS)
        self._trail = trail
        self._seen = seen
        self._alerts = alerts
        self._stalled_seconds = stalled_seconds
        self._stored: dict[str, TrailPosition | None] = {}
        # When the trail was last seen to advance, or to be complete.
        self._moved_at = dict.fromkeys(logs, time.monotonic())

    async def run_once(self) -> None:
        """Look at the trail of each log."""
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
            self._alerts.resolve(ALERT, name)
        elif now - self._moved_at[name] >= self._stalled_seconds:
            self._alerts.fire(ALERT, name, detail)


def _is_behind(stored: TrailPosition | None, seen: Position) -> bool:
    if stored is None:
        return seen.revision > 0
    return stored.epoch != seen.epoch or stored.revision < seen.revision
