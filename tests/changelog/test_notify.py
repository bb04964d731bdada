"""Replicas notify one another of commits: quickly, coalesced, and again after a lost connection."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg
import pytest

from changelog import tailer
from changelog.notify import COALESCE_SECONDS, ChangeNotifier
from tests.changelog.change_log import INSERT, open_feed, open_log
from tests.harness import notifications

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

END_OTHERS = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND query ILIKE 'listen%' OR query ILIKE 'notify%'
"""


class Replica:
    """The notifier of a process, and how often it was woken."""

    def __init__(self, dsn: str, also: Callable[[], None] = lambda: None) -> None:
        self.woken = 0
        self._bell = asyncio.Event()
        self._also = also
        self.notifier = ChangeNotifier(dsn, self._wake)

    def _wake(self) -> None:
        self._also()
        self.woken += 1
        self._bell.set()

    async def until_woken(self, times: int = 1) -> None:
        async with asyncio.timeout(20):
            while self.woken < times:
                self._bell.clear()
                await self._bell.wait()


@asynccontextmanager
async def listening(dsn: str, also: Callable[[], None] = lambda: None) -> AsyncIterator[Replica]:
    """Run a replica that listens; ``also`` is called whenever it is woken."""
    replica = Replica(dsn, also)
    replica.notifier.start()
    await replica.until_woken()  # it wakes once it listens, so that earlier notifications are not lost
    replica.woken = 0
    yield replica
    await replica.notifier.stop()


async def test_many_commits_are_coalesced_into_few_notifications(empty_dsn: str) -> None:
    async with listening(empty_dsn) as teller, listening(empty_dsn) as other:
        began = time.monotonic()
        for _ in range(2000):
            teller.notifier.committed()
            await asyncio.sleep(0)
        storm = time.monotonic() - began
        await other.until_woken()

    assert 1 <= other.woken <= storm / COALESCE_SECONDS + 2


async def test_a_notifier_is_not_woken_by_its_own_notification(empty_dsn: str) -> None:
    async with listening(empty_dsn) as teller, listening(empty_dsn) as other:
        teller.notifier.committed()
        await other.until_woken()
        other.notifier.committed()
        await teller.until_woken()

        assert teller.woken == 1
        assert other.woken == 1


async def test_a_notifier_with_a_pending_notification_can_be_stopped(empty_dsn: str) -> None:
    for _ in range(5):
        async with listening(empty_dsn) as teller:
            teller.notifier.committed()
            async with asyncio.timeout(5):
                await teller.notifier.stop()


async def test_the_notifier_wakes_after_it_reconnects(empty_dsn: str) -> None:
    person = await asyncpg.connect(empty_dsn)
    async with listening(empty_dsn) as one, listening(empty_dsn) as other:
        one.notifier.committed()
        await other.until_woken()
        one.woken = other.woken = 0
        assert await person.fetchval(END_OTHERS) >= 2
        await asyncio.gather(one.until_woken(), other.until_woken())

        one.woken = other.woken = 0
        one.notifier.committed()
        await other.until_woken()
    await person.close()


async def test_a_commit_of_another_replica_is_served_long_before_the_poll(
    empty_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tailer, "POLL_SECONDS", 3600)
    async with open_log(empty_dsn) as database, open_feed(database) as feed:
        notifier = ChangeNotifier(empty_dsn, feed.wake)
        notifier.start()
        async with listening(empty_dsn) as other:
            watching = feed.watch("", (), 3600, "staff")
            await anext(watching)
            await database.pool.execute(INSERT, "elsewhere", 1)
            other.notifier.committed()
            async with asyncio.timeout(20):
                assert await anext(watching)
            await watching.aclose()
        await notifier.stop()


async def test_a_transaction_outside_the_service_notifies_once_however_many_rows_it_writes(empty_dsn: str) -> None:
    async with (
        open_log(empty_dsn) as database,
        notifications.listening(empty_dsn) as heard,
        database.pool.acquire() as many,
        database.pool.acquire() as last,
    ):
        async with many.transaction():
            await many.execute("INSERT INTO thing SELECT 't' || n, n FROM generate_series(1, 2000) AS n")
            await many.execute("SET CONSTRAINTS ALL IMMEDIATE")
            await many.execute(INSERT, "one more", 1)
        await last.execute(INSERT, "last", 1)
        await heard.until_from(last.get_server_pid())

        assert heard.senders == [many.get_server_pid(), last.get_server_pid()]


async def test_a_rollback_or_a_write_of_the_service_sends_no_notification(empty_dsn: str) -> None:
    async with (
        open_log(empty_dsn) as database,
        notifications.listening(empty_dsn) as heard,
        database.pool.acquire() as silent,
        database.pool.acquire() as last,
    ):
        with pytest.raises(asyncpg.DivisionByZeroError):
            async with silent.transaction():
                await silent.execute(INSERT, "lost", 1)
                await silent.execute("SET CONSTRAINTS ALL IMMEDIATE")
                await silent.execute("SELECT 1/0")
        async with silent.transaction():
            await silent.execute("SET LOCAL partstream.source = 'service'")
            await silent.execute(INSERT, "the service's", 1)
        await last.execute(INSERT, "last", 1)
        await heard.until_from(last.get_server_pid())

        assert heard.senders == [last.get_server_pid()]


async def test_a_change_by_sql_is_served_long_before_the_poll(empty_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tailer, "POLL_SECONDS", 3600)
    async with open_log(empty_dsn) as database, open_feed(database) as feed, listening(empty_dsn, feed.wake):
        watching = feed.watch("", (), 3600, "staff")
        await anext(watching)
        for name in ("one", "another"):
            await database.pool.execute(INSERT, name, 1)
            async with asyncio.timeout(20):
                assert await anext(watching)
        await watching.aclose()
