"""Monthly partitions are created ahead, and dropped when they expire."""

from datetime import UTC, datetime

import pytest

from chassis.database import Database
from tasks.audit.store import AuditStore
from tasks.audit.upkeep import MONTHS_AHEAD, MonthsAhead, Retention
from tests.tasks.entries import batch

COUNT = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'data_change'::regclass"


async def test_a_migrated_trail_has_its_partitions_and_a_second_run_creates_none(audit: Database) -> None:
    await MonthsAhead(audit.pool).run_once()

    assert await audit.pool.fetchval(COUNT) == MONTHS_AHEAD + 1


@pytest.mark.parametrize(
    ("months", "expected"),
    [
        (1, datetime(2026, 2, 1, tzinfo=UTC)),
        (2, datetime(2026, 1, 1, tzinfo=UTC)),
        (15, datetime(2024, 12, 1, tzinfo=UTC)),
    ],
)
async def test_whole_months_are_kept(audit: Database, months: int, expected: datetime) -> None:
    assert Retention(audit.pool, months).first_kept(datetime(2026, 3, 31, 23, 59, tzinfo=UTC)) == expected


async def test_retention_keeps_recent_rows(audit: Database, store: AuditStore) -> None:
    await store.record(batch(1, 1, began=datetime(2023, 5, 1, tzinfo=UTC)))
    await store.record(batch(2, 2))

    await Retention(audit.pool, 24).run_once()

    assert await audit.pool.fetchval("SELECT array_agg(revision) FROM data_change") == [2]
