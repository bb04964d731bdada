"""Retention drops whole partitions, oldest first, never past what a follower needs; the chain goes on."""

import asyncpg
import pytest

from chassis.changes.integrity import verify_chain
from chassis.changes.schema import change_log_ddl
from chassis.database import Database
from tests.chassis.change_log import THING

DROP_BY_AGE = "SELECT * FROM change_log_drop_oldest(interval '0', 1000000000)"
DROP_BY_SIZE = "SELECT * FROM change_log_drop_oldest(interval '10 years', 1)"
KEEP = "SELECT * FROM change_log_drop_oldest(interval '10 years', 1000000000)"
OLDEST = "SELECT min(revision) FROM change_log"
REPORT = "INSERT INTO change_log_follower SELECT 'audit', epoch, $1 FROM change_log_identity"


async def filled(dsn: str, entries: int) -> Database:
    """A log whose partitions hold 100 revisions each."""
    database = await Database.open(dsn, application_name="test")
    await database.pool.execute(change_log_ddl(100) + THING)
    for batch in range(entries // 50):
        await database.pool.execute("INSERT INTO thing SELECT $1 || n, n FROM generate_series(1, 50) AS n", f"{batch}-")
        await database.pool.execute("SELECT change_log_ensure_partitions(3)")
    return database


@pytest.mark.parametrize("reason", [DROP_BY_AGE, DROP_BY_SIZE])
async def test_closed_partitions_leave_oldest_first_and_the_chain_stays_whole(empty_dsn: str, reason: str) -> None:
    database = await filled(empty_dsn, 350)
    async with database.pool.acquire() as connection:
        dropped = [(await connection.fetchrow(reason))["dropped_to"] for _ in range(5)]

        assert dropped == [99, 199, 299, None, None]
        assert await connection.fetchval(OLDEST) == 300
        assert (await verify_chain(connection)).first_bad_revision is None
        assert await connection.fetchval("SELECT array_agg(last_revision) FROM change_log_compaction") == [99, 199, 299]
    await database.close()


async def test_nothing_young_and_small_is_dropped(empty_dsn: str) -> None:
    database = await filled(empty_dsn, 250)

    assert (await database.pool.fetchrow(KEEP))["dropped_to"] is None
    assert await database.pool.fetchval(OLDEST) == 1
    await database.close()


async def test_what_a_follower_still_needs_is_held_and_said(empty_dsn: str) -> None:
    database = await filled(empty_dsn, 350)
    await database.pool.execute(REPORT, 150)

    first = await database.pool.fetchrow(DROP_BY_AGE)
    second = await database.pool.fetchrow(DROP_BY_AGE)

    assert first["dropped_to"] == 99
    assert (second["dropped_to"], second["held_by"], second["held_at"]) == (None, "audit", 150)
    assert await database.pool.fetchval(OLDEST) == 100
    await database.close()


async def test_the_record_of_what_was_dropped_cannot_be_rewritten(empty_dsn: str) -> None:
    database = await filled(empty_dsn, 150)
    await database.pool.execute(DROP_BY_AGE)

    with pytest.raises(asyncpg.RestrictViolationError):
        await database.pool.execute("DELETE FROM change_log_compaction")
    await database.close()
