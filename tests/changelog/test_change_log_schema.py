"""Law 1: the database writes the log - gap-free, in commit order, append-only, chained."""

import asyncio

import asyncpg
import pytest

from tests.changelog.change_log import INSERT, open_log

REVISIONS = "SELECT array_agg(revision ORDER BY revision) FROM change_log"
CHAIN_BREAKS = """
SELECT count(*) FROM (
    SELECT hash, change_log_entry_hash(
        coalesce(lag(hash) OVER (ORDER BY revision),
                 sha256(convert_to((SELECT i.epoch::text FROM change_log_identity i), 'UTF8'))),
        revision, epoch, transaction_id, entity, entity_id, version, operation, before, after, details, actor,
        actor_name, source, client_ip, request_id, traceparent, reason, committed_at) AS expected
    FROM change_log) AS chain
WHERE hash <> expected
"""


async def test_concurrent_transactions_get_gap_free_revisions_and_an_unbroken_chain(empty_dsn: str) -> None:
    async with open_log(empty_dsn) as database:

        async def write(worker: int) -> None:
            for number in range(10):
                async with database.pool.acquire() as connection, connection.transaction():
                    await connection.execute(INSERT, f"a-{worker}-{number}", 1)
                    await connection.execute(INSERT, f"b-{worker}-{number}", 1)

        await asyncio.gather(*(write(worker) for worker in range(8)))

        assert list(range(1, 161)) == await database.pool.fetchval(REVISIONS)
        assert await database.pool.fetchval(CHAIN_BREAKS) == 0


async def test_a_rolled_back_transaction_takes_no_revision(empty_dsn: str) -> None:
    async with open_log(empty_dsn) as database, database.pool.acquire() as connection:
        with pytest.raises(asyncpg.DivisionByZeroError):
            async with connection.transaction():
                await connection.execute(INSERT, "lost", 1)
                await connection.fetchval("SELECT change_log_seal()")
                await connection.execute("SELECT 1/0")
        await connection.execute(INSERT, "kept", 1)

        assert await connection.fetchval(REVISIONS) == [1]


async def test_a_rolled_back_savepoint_releases_its_revision(empty_dsn: str) -> None:
    async with open_log(empty_dsn) as database, database.pool.acquire() as connection:
        async with connection.transaction():
            await connection.execute(INSERT, "first", 1)
            await connection.fetchval("SELECT change_log_seal()")
            with pytest.raises(asyncpg.DivisionByZeroError):
                async with connection.transaction():
                    await connection.execute(INSERT, "second", 1)
                    await connection.execute("SELECT 1/0")
            await connection.execute(INSERT, "third", 1)

        assert await connection.fetchval(REVISIONS) == [1, 2]
        assert await connection.fetchval(CHAIN_BREAKS) == 0


async def test_an_open_transaction_blocks_no_other(empty_dsn: str) -> None:
    async with open_log(empty_dsn) as database, database.pool.acquire() as slow, database.pool.acquire() as fast:
        async with slow.transaction():
            await slow.execute(INSERT, "slow", 1)
            await asyncio.wait_for(fast.execute(INSERT, "fast", 1), 5)

        order = await fast.fetchval("SELECT array_agg(entity_id ORDER BY revision) FROM change_log")
        assert order == ["fast", "slow"]


async def test_seal_returns_the_last_revision_of_the_transaction_and_none_without_a_change(empty_dsn: str) -> None:
    async with open_log(empty_dsn) as database, database.pool.acquire() as connection:
        async with connection.transaction():
            await connection.execute(INSERT, "one", 1)
            await connection.execute(INSERT, "two", 1)
            assert await connection.fetchval("SELECT change_log_seal()") == 2
        async with connection.transaction():
            assert await connection.fetchval("SELECT change_log_seal()") is None


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE change_log SET actor = 'other'",
        "DELETE FROM change_log",
        "TRUNCATE change_log",
        "TRUNCATE change_log_000000000000",
        "UPDATE change_log_000000000000 SET actor = 'other'",
    ],
)
async def test_the_log_cannot_be_rewritten(empty_dsn: str, statement: str) -> None:
    async with open_log(empty_dsn) as database:
        await database.pool.execute(INSERT, "one", 1)

        with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
            await database.pool.execute(statement)

        assert await database.pool.fetchval("SELECT count(*) FROM change_log") == 1


async def test_the_head_is_found_by_index_even_with_statistics_of_an_empty_log(empty_dsn: str) -> None:
    async with open_log(empty_dsn) as database, database.pool.acquire() as connection:
        await connection.execute("ANALYZE change_log")
        await connection.execute("INSERT INTO thing SELECT n::text, n FROM generate_series(1, 5000) AS n")
        async with connection.transaction():
            before = await connection.fetchval(
                "SELECT sum(seq_tup_read) FROM pg_stat_xact_user_tables WHERE relname LIKE 'change_log_0%'"
            )
            await connection.execute(INSERT, "last", 1)
            await connection.fetchval("SELECT change_log_seal()")
            after = await connection.fetchval(
                "SELECT sum(seq_tup_read) FROM pg_stat_xact_user_tables WHERE relname LIKE 'change_log_0%'"
            )

        assert after - before == 0


async def test_partitions_are_created_ahead_of_the_head(empty_dsn: str) -> None:
    async with open_log(empty_dsn) as database:
        assert await database.pool.fetchval("SELECT change_log_ensure_partitions(4)") == 0
        assert await database.pool.fetchval("SELECT change_log_ensure_partitions(6)") == 2
