"""The trail: contiguous, exactly once in effect, append-only, partitioned by the month of the change."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import asyncpg
import pytest

from chassis.database import Database
from tasks.audit.queries import TrailPosition, position_of
from tasks.audit.store import AuditStore, Gap, Outcome
from tasks.errors import BrokenSequence, StaleEpoch, TooEarly
from tests.tasks.entries import EPOCH, NEXT_EPOCH, batch


async def revisions(audit: Database) -> list[tuple[int, int]]:
    rows = await audit.pool.fetch("SELECT revision, ordinal FROM data_change ORDER BY id")
    return [tuple(row) for row in rows]


async def test_an_empty_trail_has_no_position(audit: Database) -> None:
    assert await position_of(audit.pool, "inventory") is None


async def test_entries_are_stored_and_the_position_follows(audit: Database, store: AuditStore) -> None:
    assert await store.record(batch(1, 3)) is Outcome.STORED
    assert await store.record(batch(4, 5)) is Outcome.STORED

    assert await position_of(audit.pool, "inventory") == TrailPosition(EPOCH, 5)
    assert await position_of(audit.pool, "content") is None
    assert await revisions(audit) == [(1, 0), (2, 0), (3, 0), (4, 0), (5, 0)]


async def test_a_movement_is_a_row(audit: Database, store: AuditStore) -> None:
    await store.record(batch(1, 2, movements=3))

    assert await revisions(audit) == [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]


async def test_the_same_job_twice_stores_once(audit: Database, store: AuditStore) -> None:
    await store.record(batch(1, 3))

    assert await store.record(batch(1, 3)) is Outcome.DUPLICATE
    assert len(await revisions(audit)) == 3


async def test_of_an_overlapping_job_only_the_new_entries_are_stored(audit: Database, store: AuditStore) -> None:
    await store.record(batch(1, 3))

    assert await store.record(batch(2, 5)) is Outcome.STORED
    assert await revisions(audit) == [(1, 0), (2, 0), (3, 0), (4, 0), (5, 0)]


async def test_entries_after_missing_ones_are_rejected(audit: Database, store: AuditStore) -> None:
    await store.record(batch(1, 2))

    with pytest.raises(TooEarly) as rejected:
        await store.record(batch(4, 5))

    assert rejected.value.position == 2
    assert await position_of(audit.pool, "inventory") == TrailPosition(EPOCH, 2)


async def test_the_first_entry_of_an_empty_trail_must_be_the_first(store: AuditStore) -> None:
    with pytest.raises(TooEarly):
        await store.record(batch(2, 2))


async def test_a_job_with_missing_revisions_is_rejected(store: AuditStore) -> None:
    holed = batch(1, 3)
    with pytest.raises(BrokenSequence):
        await store.record(replace(holed, rows=[holed.rows[0], holed.rows[2]]))
    with pytest.raises(BrokenSequence):
        await store.record(replace(holed, last=4))
    with pytest.raises(BrokenSequence):
        await store.record(replace(holed, rows=[]))


async def test_simultaneous_copies_of_jobs_store_each_entry_once(audit: Database, store: AuditStore) -> None:
    jobs = [batch(1, 40) for _ in range(8)]

    outcomes = await asyncio.gather(*(store.record(job) for job in jobs))

    assert sorted(outcomes) == [Outcome.DUPLICATE] * 7 + [Outcome.STORED]
    assert await revisions(audit) == [(revision, 0) for revision in range(1, 41)]


async def test_a_gap_moves_the_position_and_is_a_row(audit: Database, store: AuditStore) -> None:
    await store.record(batch(1, 2))
    await store.record_gap(Gap("inventory", EPOCH, 9, "compacted"))
    await store.record_gap(Gap("inventory", EPOCH, 9, "compacted"))

    assert await position_of(audit.pool, "inventory") == TrailPosition(EPOCH, 9)
    assert await store.record(batch(10, 11)) is Outcome.STORED
    marks = await audit.pool.fetch("SELECT old, new, reason FROM data_change WHERE operation = 'gap'")
    missing = f"compacted: 7 entries of epoch {EPOCH} missing: revisions 3 to 9"
    assert [(mark["old"], mark["new"], mark["reason"]) for mark in marks] == [
        (f'{{"epoch": "{EPOCH}", "revision": 2}}', f'{{"epoch": "{EPOCH}", "revision": 9}}', missing)
    ]


async def test_a_new_epoch_starts_with_a_gap_and_ends_the_previous_one(audit: Database, store: AuditStore) -> None:
    await store.record(batch(1, 5))
    with pytest.raises(TooEarly):
        await store.record(batch(4, 6, epoch=NEXT_EPOCH))

    await store.record_gap(Gap("inventory", NEXT_EPOCH, 3, "restored"))
    await store.record(batch(4, 6, epoch=NEXT_EPOCH))

    assert await position_of(audit.pool, "inventory") == TrailPosition(NEXT_EPOCH, 6)
    with pytest.raises(StaleEpoch):
        await store.record(batch(6, 7))
    await store.record_gap(Gap("inventory", EPOCH, 50, "late copy of a job"))
    assert await position_of(audit.pool, "inventory") == TrailPosition(NEXT_EPOCH, 6)


async def test_partitions_are_created_for_the_months_of_the_entries(audit: Database, store: AuditStore) -> None:
    await store.record(batch(1, 2, began=datetime(2024, 1, 31, 23, 59, 59, 998000, tzinfo=UTC)))

    partitions = await audit.pool.fetch("SELECT tableoid::regclass::text AS name FROM data_change ORDER BY id")
    assert [row["name"] for row in partitions] == ["data_change_2024_01", "data_change_2024_02"]


@pytest.mark.parametrize("table", ["data_change", "data_change_2026_11"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET reason = ''", "DELETE FROM {}", "TRUNCATE {}"])
async def test_the_trail_cannot_be_rewritten(audit: Database, store: AuditStore, table: str, statement: str) -> None:
    await store.record(batch(1, 1))

    with pytest.raises(asyncpg.RestrictViolationError):
        await audit.pool.execute(statement.format(table))


async def test_retention_drops_whole_months_but_never_a_position(audit: Database, store: AuditStore) -> None:
    await store.record(batch(1, 1, began=datetime(2024, 1, 10, tzinfo=UTC)))
    await store.record(batch(2, 2, began=datetime(2024, 2, 10, tzinfo=UTC)))
    await store.record(batch(3, 3, began=datetime(2024, 3, 10, tzinfo=UTC)))

    dropped = await audit.pool.fetchval("SELECT data_change_drop_months_before('2026-01-01')")

    assert dropped == 2
    assert await position_of(audit.pool, "inventory") == TrailPosition(EPOCH, 3)
    events = await audit.pool.fetch("SELECT partition, rows_dropped FROM retention_event ORDER BY id")
    assert [tuple(event) for event in events] == [("data_change_2024_01", 1), ("data_change_2024_02", 1)]


async def test_entries_of_a_dropped_month_are_stored_at_the_second_attempt(audit: Database, store: AuditStore) -> None:
    await store.record(batch(1, 1, began=datetime(2024, 1, 10, tzinfo=UTC)))
    await store.record(batch(2, 2))
    await audit.pool.fetchval("SELECT data_change_drop_months_before('2024-06-01')")
    late = batch(3, 3, began=datetime(2024, 1, 11, tzinfo=UTC))

    with pytest.raises(asyncpg.CheckViolationError):
        await store.record(late)
    store.forget_months()

    assert await store.record(late) is Outcome.STORED
