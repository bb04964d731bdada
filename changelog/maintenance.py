"""Maintains a log's partitions: creates new ones ahead of the head, drops old ones by the retention rules."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from changelog.metrics import FOLLOWERS_INACTIVE
from changelog.schema import PARTITIONS_AHEAD
from chassis.background import BackgroundService

if TYPE_CHECKING:
    from chassis.database import Database

log = logging.getLogger(__name__)

_ENSURE = "SELECT change_log_ensure_partitions($1)"
_SUMMARISE = "SELECT change_log_summarise()"
_DROP = "SELECT dropped_to, held_by, held_at, passed_over FROM change_log_drop_oldest($1, $2, $3)"
_INACTIVE = "SELECT array_agg(name ORDER BY name) FROM change_log_follower WHERE reported_at < now() - $1::interval"
_INTERVAL_SECONDS = 10.0  # appending creates missing partitions too; this makes that rare


@dataclass(frozen=True, slots=True)
class LogRetention:
    """Retention of a log: entries younger than ``keep_for``, unless the log exceeds ``keep_bytes``.

    Entries that a registered follower lacks are retained too, until it has not reported for ``hold_for``.
    """

    keep_for: timedelta = timedelta(days=90)
    keep_bytes: int = 50 * 1024**3
    hold_for: timedelta = timedelta(days=7)


class LogMaintenance(BackgroundService):
    """Runs in every replica; a database lock serialises the drops."""

    def __init__(self, database: Database, name: str, retention: LogRetention) -> None:
        """``name`` is the log's name in log messages."""
        super().__init__(f"{name}-log-maintenance", _INTERVAL_SECONDS)
        self._database = database
        self._log = name
        self._retention = retention
        self.held_by: str | None = None
        self._inactive: list[str] = []

    async def run_once(self) -> None:
        """Create partitions, index new entries, then drop every partition that may be dropped."""
        await self._database.pool.fetchval(_ENSURE, PARTITIONS_AHEAD)
        await self._database.pool.fetchval(_SUMMARISE)
        await self._report_inactive()
        kept = self._retention
        while True:
            row = await self._database.pool.fetchrow(_DROP, kept.keep_for, kept.keep_bytes, kept.hold_for)
            self.held_by = row["held_by"]
            if row["dropped_to"] is None:
                break
            log.info("entries dropped log=%s revision=%d", self._log, row["dropped_to"])
            if row["passed_over"]:
                log.warning(
                    "entries dropped that inactive followers have not read log=%s followers=%s revision=%d",
                    self._log,
                    ",".join(row["passed_over"]),
                    row["dropped_to"],
                )
        if self.held_by:
            log.error(
                "retention delayed by a follower log=%s follower=%s revision=%d: find out why it lags, or remove it",
                self._log,
                self.held_by,
                row["held_at"],
            )

    async def _report_inactive(self) -> None:
        """Count the followers that no longer report, and log the new ones."""
        names = await self._database.pool.fetchval(_INACTIVE, self._retention.hold_for) or []
        FOLLOWERS_INACTIVE.labels(self._log).set(len(names))
        for name in names:
            if name not in self._inactive:
                log.warning(
                    "follower inactive, retention no longer waits for it log=%s follower=%s hold_days=%.1f",
                    self._log,
                    name,
                    self._retention.hold_for / timedelta(days=1),
                )
        self._inactive = names
