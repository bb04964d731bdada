"""Keeping a log's partitions: new ones ahead of the head, old ones dropped when nobody needs them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from chassis.background import BackgroundService
from chassis.changes.schema import PARTITIONS_AHEAD

if TYPE_CHECKING:
    from chassis.database import Database

log = logging.getLogger(__name__)

_ENSURE = "SELECT change_log_ensure_partitions($1)"
_SUMMARISE = "SELECT change_log_summarise()"
_DROP = "SELECT dropped_to, held_by, held_at FROM change_log_drop_oldest($1, $2)"
_INTERVAL_SECONDS = 10.0  # whoever appends makes partitions as well; this keeps it from having to


@dataclass(frozen=True, slots=True)
class LogRetention:
    """How much of a log is kept: whatever is younger, unless the whole grows larger."""

    keep_for: timedelta = timedelta(days=90)
    keep_bytes: int = 50 * 1024**3


class LogMaintenance(BackgroundService):
    """Runs in every replica; a lock in the database lets one of them drop at a time."""

    def __init__(self, database: Database, name: str, retention: LogRetention) -> None:
        """Name the log for the messages."""
        super().__init__(f"{name}-log-maintenance", _INTERVAL_SECONDS)
        self._database = database
        self._log = name
        self._retention = retention
        self.held_by: str | None = None

    async def run_once(self) -> None:
        """Make partitions ahead, index what is new, then drop as many partitions as may go."""
        await self._database.pool.fetchval(_ENSURE, PARTITIONS_AHEAD)
        await self._database.pool.fetchval(_SUMMARISE)
        while True:
            row = await self._database.pool.fetchrow(_DROP, self._retention.keep_for, self._retention.keep_bytes)
            self.held_by = row["held_by"]
            if row["dropped_to"] is None:
                break
            log.info("%s log: entries up to revision %d were dropped", self._log, row["dropped_to"])
        if self.held_by:
            log.error(
                "%s log: it is time to drop entries, but the follower %s has come only to revision %d: see why it does "
                "not go on, or delete its row from change_log_follower when it is no more",
                self._log,
                self.held_by,
                row["held_at"],
            )
