"""Writing the audit trail: contiguous, set-based, exactly once in effect.

Rows of a service are accepted only right after its position, under one advisory lock per service. So the greatest
revision stored is also the greatest contiguous one, whoever writes, however often a job is delivered.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from tasks.audit.endings import describe_missing, ending_of
from tasks.audit.queries import position_of
from tasks.errors import BrokenSequence, StaleEpoch, TooEarly

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import asyncpg

    from tasks.audit.convert import Row
    from tasks.audit.queries import TrailPosition

# One writer per service at a time. The second number is the service's place in the lock space.
LOCK = "SELECT pg_advisory_xact_lock(7302, hashtext($1))"

# Make the partition of a month.
ENSURE_MONTH = "SELECT data_change_ensure_month($1)"

# Whether the trail holds anything of an epoch.
KNOWS_EPOCH = "SELECT EXISTS (SELECT FROM data_change WHERE service = $1 AND epoch = $2)"

# Many rows in one statement; a row that is there already stays as it is. Columns $3 on are those of `convert.Row`.
INSERT = """
INSERT INTO data_change (service, epoch, revision, ordinal, entity, entity_id, part_id, operation, old, new,
    changed_fields, details, actor, actor_id, source, client_ip, request_id, traceparent, reason, occurred_at)
SELECT $1, $2, r.revision, r.ordinal, r.entity, r.entity_id, r.part_id, r.operation, r.old, r.new,
    string_to_array(r.changed_fields, ','), r.details, r.actor, r.actor_id, r.source, r.client_ip, r.request_id,
    r.traceparent, r.reason, r.occurred_at
FROM unnest($3::bigint[], $4::int[], $5::text[], $6::text[], $7::text[], $8::text[], $9::jsonb[], $10::jsonb[],
    $11::text[], $12::jsonb[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[], $18::text[],
    $19::text[], $20::timestamptz[])
    AS r(revision, ordinal, entity, entity_id, part_id, operation, old, new, changed_fields, details, actor, actor_id,
         source, client_ip, request_id, traceparent, reason, occurred_at)
ON CONFLICT DO NOTHING
"""

# Note that entries of a service cannot be had any more, and move its position past them.
INSERT_GAP = """
INSERT INTO data_change (service, epoch, revision, ordinal, entity, entity_id, operation, old, new, reason, actor,
    source, occurred_at)
SELECT $1, $2, $3, 0, 'change_log', $1, 'gap', $4, $5, $6, 'dispatcher', 'service', $7
WHERE NOT EXISTS (SELECT FROM data_change WHERE service = $1 AND epoch = $2 AND revision >= $3)
"""


class Outcome(StrEnum):
    """What became of a batch."""

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
            problem = f"entries {self.first} to {self.last} were announced, {seen} is the last one there"
            raise BrokenSequence(problem)


@dataclass(frozen=True, slots=True)
class Gap:
    """Entries that were lost to the trail: it goes on after ``revision`` of ``epoch``."""

    service: str
    epoch: uuid.UUID
    revision: int
    cause: str


@dataclass(frozen=True, slots=True)
class Lost:
    """Revisions that the trail never gets; ``None`` = it is not known which, or whether any."""

    revisions: range | None
    detail: str = ""


class AuditStore:
    """The trail, for the worker."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        """Use connections of a pool."""
        self._pool = pool
        self._months: set[tuple[int, int]] = set()

    async def record(self, batch: Batch) -> Outcome:
        """Store what of a batch is not stored yet.

        Raises ``TooEarly`` when entries before it are missing, ``StaleEpoch`` when the trail has left its epoch, and
        ``BrokenSequence`` when it is not what it says.
        """
        batch.check()
        await self.ensure_months(row.occurred_at for row in batch.rows)
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(LOCK, batch.service)
            position = await position_of(connection, batch.service)
            stored = await self._stored_revision(connection, batch, position)
            if batch.last <= stored:
                return Outcome.DUPLICATE
            if batch.first > stored + 1:
                raise TooEarly(stored, batch.first)
            fresh = [row for row in batch.rows if row.revision > stored]
            columns = (list(column) for column in zip(*fresh, strict=True))
            await connection.execute(INSERT, batch.service, batch.epoch, *columns)
            return Outcome.STORED

    async def record_gap(self, gap: Gap) -> Lost:
        """Store that entries are lost, and return which; done twice, it changes nothing."""
        now = datetime.now(UTC)
        await self.ensure_months([now])
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(LOCK, gap.service)
            position = await position_of(connection, gap.service)
            moved_on = position is not None and position.epoch != gap.epoch
            if moved_on and await self._knows(connection, gap.service, gap.epoch):
                return Lost(range(0), "recorded before")
            lost = await self._lost(connection, gap, position)
            old = None if position is None else f'{{"epoch": "{position.epoch}", "revision": {position.revision}}}'
            new = f'{{"epoch": "{gap.epoch}", "revision": {gap.revision}}}'
            cause = f"{gap.cause}: {lost.detail}" if lost.detail else gap.cause
            await connection.execute(INSERT_GAP, gap.service, gap.epoch, gap.revision, old, new, cause, now)
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

    async def ensure_months(self, moments: Iterable[datetime]) -> None:
        """Make the partitions that moments fall in. Not inside the caller's transaction: making one locks the table."""
        for month in {(moment.year, moment.month) for moment in moments} - self._months:
            await self._pool.execute(ENSURE_MONTH, datetime(*month, 1, tzinfo=UTC))
            self._months.add(month)

    def forget_months(self) -> None:
        """Look again which partitions exist: retention may have dropped one."""
        self._months.clear()

    async def _stored_revision(
        self, connection: asyncpg.pool.PoolConnectionProxy[asyncpg.Record], batch: Batch, position: TrailPosition | None
    ) -> int:
        if position is None:
            return 0
        if position.epoch == batch.epoch:
            return position.revision
        if await self._knows(connection, batch.service, batch.epoch):
            raise StaleEpoch
        # The epoch is new, and only a gap says where the trail goes on in it.
        raise TooEarly(-1, batch.first)

    async def _knows(
        self, connection: asyncpg.pool.PoolConnectionProxy[asyncpg.Record], service: str, epoch: uuid.UUID
    ) -> bool:
        known: bool = await connection.fetchval(KNOWS_EPOCH, service, epoch)
        return known
