"""Retention drops whole partitions, oldest first, never past what a follower needs; the chain goes on."""

import asyncpg
import pytest

from changelog.follower_schema import REGISTERED_FOLLOWERS
from changelog.integrity import verify_chain
from changelog.lookup_schema import CHANGE_LOG_LOOKUP
from changelog.maintenance import LogMaintenance, LogRetention
from changelog.schema import CHANGE_LOG
from chassis.database import Database
from tests.changelog.change_log import THING

DROP_BY_AGE = "SELECT * FROM change_log_drop_oldest(interval '0', 1000000000)"
DROP_BY_SIZE = "SELECT * FROM change_log_drop_oldest(interval '10 years', 1)"
KEEP = "SELECT * FROM change_log_drop_oldest(interval '10 years', 1000000000)"
OLDEST = "SELECT min(revision) FROM change_log"
RECORDED = "SELECT array_agg(last_revision ORDER BY last_revision) FROM change_log_compaction"
REPORT = "INSERT INTO change_log_follower SELECT 'audit', epoch, $1 FROM change_log_identity"


async def filled(dsn: str, entries: int) -> Database:
    """A log whose partitions hold 300 revisions each."""
    database = await Database.open(dsn, application_name="test")
    await database.pool.execute(CHANGE_LOG + CHANGE_LOG_LOOKUP + THING + REGISTERED_FOLLOWERS)
    await database.pool.execute("SELECT change_log_resize_partitions(300)")
    for batch in range(entries // 50):
        await database.pool.execute("INSERT INTO thing SELECT $1 || n, n FROM generate_series(1, 50) AS n", f"{batch}-")
    return database


@pytest.mark.parametrize("reason", [DROP_BY_AGE, DROP_BY_SIZE])
async def test_closed_partitions_leave_oldest_first_and_the_chain_stays_whole(empty_dsn: str, reason: str) -> None:
    database = await filled(empty_dsn, 1000)
    async with database.pool.acquire() as connection:
        dropped = [(await connection.fetchrow(reason))["dropped_to"] for _ in range(5)]

        assert dropped == [299, 599, 899, None, None]
        assert await connection.fetchval(OLDEST) == 900
        assert (await verify_chain(connection)).first_bad_revision is None
        assert await connection.fetchval(RECORDED) == [299, 599, 899]
    await database.close()


async def test_nothing_young_and_small_is_dropped(empty_dsn: str) -> None:
    database = await filled(empty_dsn, 700)

    assert (await database.pool.fetchrow(KEEP))["dropped_to"] is None
    assert await database.pool.fetchval(OLDEST) == 1
    await database.close()


async def test_what_a_follower_still_needs_is_held_and_said(empty_dsn: str) -> None:
    database = await filled(empty_dsn, 1000)
    await database.pool.execute(REPORT, 450)

    first = await database.pool.fetchrow(DROP_BY_AGE)
    second = await database.pool.fetchrow(DROP_BY_AGE)

    assert first["dropped_to"] == 299
    assert (second["dropped_to"], second["held_by"], second["held_at"]) == (None, "audit", 450)
    assert await database.pool.fetchval(OLDEST) == 300
    await database.close()


async def test_a_follower_that_delays_retention_is_logged(empty_dsn: str, caplog: pytest.LogCaptureFixture) -> None:
    database = await filled(empty_dsn, 700)
    await database.pool.execute(REPORT, 10)
    maintenance = LogMaintenance(database, "inventory", LogRetention(keep_bytes=1))

    await maintenance.run_once()

    assert maintenance.held_by == "audit"
    assert "retention delayed by a follower log=inventory follower=audit revision=10" in caplog.text
    assert await database.pool.fetchval(OLDEST) == 1
    await database.close()


async def test_the_record_of_what_was_dropped_cannot_be_rewritten(empty_dsn: str) -> None:
    database = await filled(empty_dsn, 400)
    await database.pool.execute(DROP_BY_AGE)

    with pytest.raises(asyncpg.RestrictViolationError):
        await database.pool.execute("DELETE FROM change_log_compaction")
    await database.close()


async def test_a_follower_that_has_not_reported_since_a_restore_holds_back_what_came_after_it(empty_dsn: str) -> None:
    database = await filled(empty_dsn, 350)
    await database.pool.execute(REPORT, 350)
    await database.pool.execute("SELECT change_log_begin_epoch()")
    await database.pool.execute("INSERT INTO thing SELECT 'new-' || n, n FROM generate_series(1, 650) AS n")

    found = [dict(await database.pool.fetchrow(DROP_BY_AGE)) for _ in range(2)]

    assert found[0]["dropped_to"] == 299
    assert found[1] == {"dropped_to": None, "held_by": "audit", "held_at": 350}
    await database.close()


async def test_a_transaction_of_any_size_finds_its_partitions(empty_dsn: str) -> None:
    database = await filled(empty_dsn, 0)

    await database.pool.execute("INSERT INTO thing SELECT n::text, n FROM generate_series(1, 4000) AS n")

    assert await database.pool.fetchval("SELECT count(*) FROM change_log") == 4000
    assert await database.pool.fetchval("SELECT count(*) FROM change_log_partitions()") >= 14
    await database.close()


async def test_partitions_may_change_their_size_while_the_log_is_in_use(empty_dsn: str) -> None:
    database = await filled(empty_dsn, 350)

    await database.pool.execute("SELECT change_log_resize_partitions(1000)")
    await database.pool.execute("INSERT INTO thing SELECT 'x' || n, n FROM generate_series(1, 2000) AS n")

    bounds = await database.pool.fetch("SELECT lower_bound, upper_bound FROM change_log_partitions()")
    assert [tuple(row) for row in bounds[:4]] == [(0, 300), (300, 600), (600, 1600), (1600, 2600)]
    assert await database.pool.fetchval("SELECT max(revision) FROM change_log") == 2350
    await database.close()


async def test_retention_gives_way_to_a_long_transaction_instead_of_stopping_writers(empty_dsn: str) -> None:
    database = await filled(empty_dsn, 700)
    async with database.pool.acquire() as reader, reader.transaction(isolation="repeatable_read"):
        await reader.fetchval(OLDEST)
        with pytest.raises(asyncpg.LockNotAvailableError):
            await database.pool.execute(DROP_BY_AGE)
        await database.pool.execute("INSERT INTO thing VALUES ('meanwhile', 1)", timeout=1)

    assert (await database.pool.fetchrow(DROP_BY_AGE))["dropped_to"] == 299
    await database.close()
