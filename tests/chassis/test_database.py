"""Transactions on pooled connections return them to the pool in every case."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import pytest
from piccolo.columns import Integer, Text
from piccolo.engine.base import BaseTransaction
from piccolo.engine.exceptions import TransactionError
from piccolo.table import Table

from changelog.handoff import Handoff
from chassis.caller import ANONYMOUS
from chassis.database import TABLE_ENGINE, Database, TransactionManager, WriteContext
from chassis.errors import StoreUnavailable
from chassis.store_errors import CONNECTION_LOST
from tests.changelog.change_log import INSERT, open_log

if TYPE_CHECKING:
    from collections.abc import Coroutine

CONTEXT = WriteContext(ANONYMOUS.user_id, ANONYMOUS.username)
_CONNECTIONS = 10  # the largest pool of the log's database
_ITERATIONS = 60  # of the event loop, after which calls are cancelled: from before the BEGIN on


async def write(transactions: TransactionManager, thing: str) -> None:
    """Write as services do."""
    async with transactions.begin(CONTEXT) as connection:
        await connection.execute(INSERT, thing, 1)
        await Handoff().seal(connection)


async def leave_after(turns: int, call: Coroutine[object, object, None]) -> bool:
    """Cancel a call after so many iterations of the event loop; return whether it was still running."""
    task = asyncio.ensure_future(call)
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    return task.cancelled()


async def all_connections_are_free(database: Database) -> bool:
    """Whether every connection of the pool can be acquired, without an open transaction."""
    async with asyncio.timeout(10):
        taken = [await database.pool.acquire() for _ in range(_CONNECTIONS)]
    is_clean = not any(connection.is_in_transaction() for connection in taken)
    for connection in taken:
        await database.pool.release(connection)
    return is_clean


async def test_cancelled_callers_leak_no_connection(empty_dsn: str) -> None:
    """Piccolo leaked the connection of a transaction whose BEGIN was cancelled: after ten, all writes failed."""
    async with open_log(empty_dsn) as database:
        transactions = TransactionManager(database)

        left = [await leave_after(turns, write(transactions, f"t{turns}")) for turns in range(_ITERATIONS)]

        assert any(left)
        assert await all_connections_are_free(database)
        await write(transactions, "afterwards")


async def test_a_failed_commit_returns_its_connection(empty_dsn: str) -> None:
    async with open_log(empty_dsn) as database:
        await database.pool.execute("""
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''refused''; END';
            CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON thing DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW EXECUTE FUNCTION refuse();
        """)
        transactions = TransactionManager(database)

        for number in range(_CONNECTIONS + 1):
            with pytest.raises(asyncpg.RaiseError):
                async with transactions.begin(CONTEXT) as connection:
                    await connection.execute(INSERT, f"t{number}", 1)

        assert await all_connections_are_free(database)


async def test_a_nested_transaction_is_rejected_and_piccolo_has_the_outer_one(empty_dsn: str) -> None:
    async with open_log(empty_dsn) as database:
        transactions = TransactionManager(database)
        current = database.engine.current_transaction

        async with transactions.begin(CONTEXT) as connection:
            known = current.get()
            assert isinstance(known, BaseTransaction)
            assert known.connection is connection
            with pytest.raises(TransactionError):
                async with transactions.begin(CONTEXT):
                    pass

        assert current.get() is None


class Thing(Table, tablename="thing", db=TABLE_ENGINE):
    """A row of the table of the test's log."""

    thing_id = Text(primary_key=True, default=None)
    amount = Integer()


async def test_a_query_runs_in_the_transaction_of_its_own_database(empty_dsn: str) -> None:
    async with open_log(empty_dsn) as database:
        other = await Database.open(empty_dsn, application_name="other", max_size=1)

        async with TransactionManager(database).begin(CONTEXT) as connection:
            await connection.execute(INSERT, "t1", 1)
            assert await database.run(Thing.count()) == 1
            assert await other.run(Thing.count()) == 0
            await Handoff().seal(connection)

        assert await other.run(Thing.count()) == 1
        await other.close()


async def test_a_query_on_a_closed_database_opens_no_connection(empty_dsn: str) -> None:
    async with open_log(empty_dsn) as database:
        await database.close()

        with pytest.raises(StoreUnavailable):
            await database.run(Thing.count())


async def test_locked_rows_stay_as_they_are_until_the_transaction_ends(empty_dsn: str) -> None:
    async with open_log(empty_dsn) as database:
        transactions = TransactionManager(database)
        await write(transactions, "t1")
        query = Thing.select().where(Thing.thing_id == "t1")

        async with transactions.begin():
            assert len(await transactions.with_row_locking(query)) == 1
            async with database.own_connection() as other:
                await other.execute("SET lock_timeout = '100ms'")
                with pytest.raises(asyncpg.LockNotAvailableError):
                    await other.execute("SELECT FROM thing WHERE thing_id = 't1' FOR UPDATE")

        with pytest.raises(RuntimeError, match="inside a transaction only"):
            await transactions.with_row_locking(query)


async def test_an_idle_write_transaction_releases_the_logs_lock(empty_dsn: str) -> None:
    """A process suspended in its transaction blocked every writer for 60 s."""
    async with open_log(empty_dsn) as database:
        transactions = TransactionManager(database)
        other = await database.connect()

        with pytest.raises(CONNECTION_LOST):
            async with transactions.begin(CONTEXT) as connection:
                await connection.execute(INSERT, "left", 1)
                await Handoff().seal(connection)
                async with asyncio.timeout(20):
                    await other.execute("INSERT INTO thing VALUES ('other', 1)")
                await connection.execute("SELECT 1")

        assert await other.fetchval("SELECT array_agg(thing_id) FROM thing") == ["other"]
        await write(transactions, "later")
        await other.close()
