"""Maintenance of the audit trail: create monthly partitions ahead, and drop expired ones."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from chassis.background import BackgroundService
from tasks.audit.sql import STATEMENTS

if TYPE_CHECKING:
    import asyncpg

log = logging.getLogger(__name__)

MONTHS_AHEAD = 3
_HOUR = 3600.0


class MonthsAhead(BackgroundService):
    """Creates partitions ahead, so that the first write of a month does not lock the table."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        """Use connections of a pool."""
        super().__init__("audit months ahead", _HOUR)
        self._pool = pool

    async def run_once(self) -> None:
        """Create the missing partitions."""
        made = await self._pool.fetchval(STATEMENTS["ensure_months_ahead"], MONTHS_AHEAD)
        if made:
            log.info("audit partitions created count=%d", made)


class Retention(BackgroundService):
    """Drops partitions that are older than the retention time."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], months: int) -> None:
        """Keep ``months`` whole months besides the current one."""
        super().__init__("audit retention", _HOUR)
        self._pool = pool
        self._months = months

    async def run_once(self) -> None:
        """Drop the expired partitions."""
        dropped = await self._pool.fetchval(STATEMENTS["drop_months_before"], self.first_kept(datetime.now(UTC)))
        if dropped:
            log.info("audit partitions dropped count=%d", dropped)

    def first_kept(self, now: datetime) -> datetime:
        """Return the first timestamp that is kept."""
        months = now.year * 12 + now.month - 1 - self._months
        return datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC)
