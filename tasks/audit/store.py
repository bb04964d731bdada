"""Writing the audit trail: contiguous, set-based, exactly once in effect.

Rows of a service are accepted only right after its position, under one advisory lock per service. So the greatest
revision stored is also the greatest contiguous one, with any number of writers and deliveries.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from tasks.audit.endings import describe_missing, ending_of
from tasks.audit.queries import position_of
from tasks.audit.sql import STATEMENTS
from tasks.errors import BrokenSequence, StaleEpoch, TooEarly

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import asyncpg

    from tasks.audit.convert import Row
    from tasks.audit.queries import TrailPosition


class Outcome(StrEnum):
    """The result of recording a batch."""

    STORED = "stored"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True)
class Batch:
    """Entries ``first`` to ``last`` of one epoch of a service's log, as rows."""

    service: str
    epoch: uuid.UUID
    first: int
    last: int
    rows: Sequence[Row]

    def check(self) -> None:
        """Raise ``BrokenSequence`` unless the rows are of every revision from ``first`` to ``last``, in order."""
        seen = self.first - 1
        for row in self.rows:
            if row.revision not in {seen, seen + 1} or (row.revision == seen) != (row.ordinal > 0):
                problem = f"entry {row.revision} ({row.ordinal}) cannot follow entry {seen}"
                raise BrokenSequence(problem)
            seen = row.revision
        if seen != self.last or self.last < self.first:
            problem = f"entries {self.first} to {self.last} were declared, {seen} is the last one present"
            raise BrokenSequence(problem)


@dataclass(frozen=True, slots=True)
class Gap:
    """Entries that the trail lacks permanently: it continues after ``revision`` of ``epoch``."""

    service: str
    epoch: uuid.UUID
    revision: int
    cause: str


@dataclass(frozen=True, slots=True)
class Lost:
    """Revisions that the trail lacks permanently; ``None`` = unknown."""

    revisions: range | None
    detail: str = ""


class AuditStore:
    """Writes the trail."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        """Use connections of a pool."""
        self._pool = pool
        self._months: set[tuple[int, int]] = set()

    async def record(self, batch: Batch) -> Outcome:
        """Store the entries of a batch that are not stored yet.

        Raises ``TooEarly`` when entries before it are missing, ``StaleEpoch`` when the trail follows a newer epoch, and
        ``BrokenSequence`` when its revisions are not the declared range.
        """
        batch.check()
        await self.ensure_months(row.occurred_at for row in batch.rows)
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(STATEMENTS["lock_service"], batch.service)
            position = await position_of(connection, batch.service)
            stored = await self._stored_revision(connection, batch, position)
            if batch.last <= stored:
                return Outcome.DUPLICATE
            if batch.first > stored + 1:
                raise TooEarly(stored, batch.first)
            fresh = [row for row in batch.rows if row.revision > stored]
            columns = (list(column) for column in zip(*fresh, strict=True))
            await connection.execute(STATEMENTS["insert_changes"], batch.service, batch.epoch, *columns)
            return Outcome.STORED

    async def record_gap(self, gap: Gap) -> Lost:
        """Store a gap row, and return which entries are lost. Idempotent."""
        now = datetime.now(UTC)
        await self.ensure_months([now])
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(STATEMENTS["lock_service"], gap.service)
            position = await position_of(connection, gap.service)
            moved_on = position is not None and position.epoch != gap.epoch
            if moved_on and await self._has_epoch(connection, gap.service, gap.epoch):
                return Lost(range(0), "recorded before")
            lost = await self._lost(connection, gap, position)
            old = None if position is None else f'{{"epoch": "{position.epoch}", "revision": {position.revision}}}'
            new = f'{{"epoch": "{gap.epoch}", "revision": {gap.revision}}}'
            cause = f"{gap.cause}: {lost.detail}" if lost.detail else gap.cause
            await connection.execute(
                STATEMENTS["insert_gap"], gap.service, gap.epoch, gap.revision, old, new, cause, now
            )
            return lost

    async def _lost(
        self,
        connection: asyncpg.pool.PoolConnectionProxy[asyncpg.Record],
        gap: Gap,
        position: TrailPosition | None,
    ) -> Lost:
        if position is None:
            return Lost(None)
        if position.epoch == gap.epoch:
            missing = range(position.revision + 1, gap.revision + 1)
            return Lost(missing, describe_missing(missing, gap.epoch))
        ending = await ending_of(connection, gap.service, position.epoch)
        if ending is None:
            return Lost(None)
        missing = ending.missing(position.revision)
        return Lost(missing, describe_missing(missing, position.epoch))

    async def ensure_months(self, timestamps: Iterable[datetime]) -> None:
        """Create the partitions for timestamps, outside a transaction: the creation locks the table."""
        for month in {(timestamp.year, timestamp.month) for timestamp in timestamps} - self._months:
            await self._pool.execute(STATEMENTS["ensure_month"], datetime(*month, 1, tzinfo=UTC))
            self._months.add(month)

    def forget_months(self) -> None:
        """Clear the known partitions: retention may have dropped one."""
        self._months.clear()

    async def _stored_revision(
        self, connection: asyncpg.pool.PoolConnectionProxy[asyncpg.Record], batch: Batch, position: TrailPosition | None
    ) -> int:
        if position is None:
            return 0
        if position.epoch == batch.epoch:
            return position.revision
        if await self._has_epoch(connection, batch.service, batch.epoch):
            raise StaleEpoch
        # The epoch is new, and only a gap states where the trail continues in it.
        raise TooEarly(-1, batch.first)

    async def _has_epoch(
        self, connection: asyncpg.pool.PoolConnectionProxy[asyncpg.Record], service: str, epoch: uuid.UUID
    ) -> bool:
        known: bool = await connection.fetchval(STATEMENTS["epoch_is_known"], service, epoch)
        return known
