"""The feed: ordered, unique, complete, atomic, resumable, bookmarkable - from the window and from the table."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from changelog import cursor as cursors
from changelog import tailer
from changelog.feed import ChangeFeed
from chassis.database import Database
from chassis.errors import (
    CursorFromFuture,
    CursorMalformed,
    Draining,
    EpochChanged,
    RevisionNotYetServed,
    StoreUnavailable,
    WatcherTooSlow,
)
from partstream.inventory.v1.stock_service_pb2 import WatchStockResponse
from tests.changelog.change_log import INSERT, open_feed, open_log

END_OTHER_SESSIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
CUT_OUT = """
ALTER TABLE change_log_000000000000 DISABLE TRIGGER USER;
DELETE FROM change_log WHERE revision = 12;
"""
MANY = "INSERT INTO thing SELECT $1 || n, n FROM generate_series(1, $2::int) AS n"


async def take(stream: AsyncIterator[bytes], changes: int) -> list[WatchStockResponse]:
    """Messages until so many changes have come."""
    found: list[WatchStockResponse] = []
    seen = 0
    async with asyncio.timeout(20):
        while seen < changes:
            found.append(WatchStockResponse.FromString(await anext(stream)))
            seen += len(found[-1].changes)
    return found


def revisions(messages: list[WatchStockResponse]) -> list[int]:
    return [change.revision for message in messages for change in message.changes]


def watch(feed: ChangeFeed, cursor: str = "", parts: tuple[str, ...] = (), audience: str = "staff") -> aclosing:  # type: ignore[type-arg]
    return aclosing(feed.watch(cursor, parts, 5.0, audience))


async def written(database: Database, feed: ChangeFeed, prefix: str, count: int) -> None:
    await database.pool.execute(MANY, prefix, count)
    feed.wake()


async def test_a_watcher_gets_what_is_committed_after_it_came_and_resumes_where_it_left(empty_dsn: str) -> None:
    async with open_log(empty_dsn) as database, open_feed(database) as feed:
        await database.pool.execute(INSERT, "before", 1)
        feed.wake()
        async with watch(feed, feed.token_for(1)) as stream:
            await written(database, feed, "a", 3)
            first = await take(stream, 3)
        await written(database, feed, "b", 2)
        async with watch(feed, first[-1].cursor) as stream:
            second = await take(stream, 2)

        assert revisions(first) == [2, 3, 4]
        assert revisions(second) == [5, 6]


async def test_the_first_message_is_a_bookmark_that_can_be_resumed_from(empty_dsn: str) -> None:
    async with open_log(empty_dsn) as database, open_feed(database) as feed:
        async with watch(feed) as stream:
            opening = WatchStockResponse.FromString(await anext(stream))
        await written(database, feed, "a", 2)
        async with watch(feed, opening.cursor) as stream:
            assert revisions(await take(stream, 2)) == [1, 2]
        assert not opening.changes


async def test_a_cursor_older_than_the_window_pages_through_the_table_and_joins_without_gap_or_repeat(
    empty_dsn: str,
) -> None:
    async with open_log(empty_dsn) as database, open_feed(database, max_window_entries=1500) as feed:
        for number in range(30):
            await database.pool.execute(MANY, f"x{number}-", 100)
        feed.wake()
        async with watch(feed, feed.token_for(1)) as stream:
            await written(database, feed, "later", 20)
            messages = await take(stream, 3019)

        assert revisions(messages) == list(range(2, 3021))


async def test_one_transaction_comes_in_one_message(empty_dsn: str) -> None:
    async with open_log(empty_dsn) as database, open_feed(database) as feed, watch(feed) as stream:
        await anext(stream)
        await written(database, feed, "a", 2500)
        messages = await take(stream, 2500)

        assert [len(message.changes) for message in messages] == [2500]
        assert not messages[0].fragment


async def test_a_transaction_too_big_for_a_message_comes_in_flagged_fragments(empty_dsn: str) -> None:
    async with open_log(empty_dsn) as database, open_feed(database) as feed, watch(feed) as stream:
        await anext(stream)
        await written(database, feed, "a" * 500, 3000)
        messages = await take(stream, 3000)

        assert len(messages) > 1
        assert [message.fragment for message in messages] == [True] * (len(messages) - 1) + [False]
        assert revisions(messages) == list(range(1, 3001))


async def test_a_filtered_watcher_gets_its_parts_only_and_bookmarks_pass_the_rest(empty_dsn: str) -> None:
    async with open_log(empty_dsn) as database, open_feed(database) as feed:
        stream = feed.watch("", ("a2",), 0.1, "staff")
        async with aclosing(stream):
            await anext(stream)
            await written(database, feed, "a", 3)
            messages = await take(stream, 1)
            while cursors.decode(messages[-1].cursor)["inventory"].revision < 3:
                messages.append(WatchStockResponse.FromString(await anext(stream)))

        assert revisions(messages) == [2]


async def test_the_public_does_not_see_what_is_for_staff(empty_dsn: str) -> None:
    async with open_log(empty_dsn) as database, open_feed(database) as feed, watch(feed, audience="public") as stream:
        await anext(stream)
        await database.pool.execute(INSERT, "secret", 1)
        await written(database, feed, "open", 1)

        assert revisions(await take(stream, 1)) == [2]


async def test_a_watcher_that_falls_out_of_the_window_is_told_and_can_resume(empty_dsn: str) -> None:
    async with open_log(empty_dsn) as database, open_feed(database, max_window_entries=100) as feed:
        async with watch(feed) as stream:
            await anext(stream)
            await written(database, feed, "a", 1)
            seen = await take(stream, 1)
            for number in range(5):
                await written(database, feed, f"b{number}-", 100)
            while feed.tailer.window.end < 501:
                await feed.tailer.moved.wait(1)
            with pytest.raises(WatcherTooSlow):
                await take(stream, 1)
        async with watch(feed, seen[-1].cursor) as stream:
            assert revisions(await take(stream, 500)) == list(range(2, 502))


async def test_cursors_that_cannot_be_served_are_refused_each_with_its_reason(empty_dsn: str) -> None:
    async with open_log(empty_dsn) as database, open_feed(database) as feed:
        await written(database, feed, "a", 1)
        here = cursors.decode(feed.token())["inventory"]
        foreign = cursors.encode(cursors.Position("content", here.epoch, 1))
        future = feed.token_for(1_000_000)
        other_epoch = cursors.encode(cursors.Position("inventory", type(here.epoch)(int=7), 1))

        for cursor, reason in (
            ("nonsense", CursorMalformed),
            (foreign, CursorMalformed),
            (future, CursorFromFuture),
            (other_epoch, EpochChanged),
        ):
            with pytest.raises(reason):
                async with watch(feed, cursor) as stream:
                    await anext(stream)


async def test_draining_ends_watchers_and_refuses_new_ones(empty_dsn: str) -> None:
    async with open_log(empty_dsn) as database, open_feed(database) as feed, watch(feed) as stream:
        await anext(stream)
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        feed.drain()

        with pytest.raises(Draining):
            await asyncio.wait_for(waiting, 5)
        with pytest.raises(Draining):
            async with watch(feed) as late:
                await anext(late)


async def test_a_change_made_without_a_wake_is_found_by_polling(empty_dsn: str) -> None:
    async with open_log(empty_dsn) as database, open_feed(database) as feed, watch(feed) as stream:
        await anext(stream)
        await database.pool.execute(INSERT, "by hand", 1)

        assert revisions(await take(stream, 1)) == [1]


async def test_a_read_waits_for_its_token_and_refuses_one_that_does_not_come(empty_dsn: str) -> None:
    async with open_log(empty_dsn) as database, open_feed(database) as feed:
        await database.pool.execute(INSERT, "one", 1)
        await feed.wait_for(feed.token_for(1))

        with pytest.raises(RevisionNotYetServed):
            await feed.wait_for(feed.token_for(2), 0.05)


async def test_a_read_with_a_made_up_token_is_refused_at_once(empty_dsn: str) -> None:
    async with open_log(empty_dsn) as database, open_feed(database) as feed:
        await database.pool.execute(INSERT, "one", 1)

        with pytest.raises(CursorFromFuture):
            await feed.wait_for(feed.token_for(1_000_000), 60)


async def test_an_audience_that_comes_late_gets_everything_too(empty_dsn: str) -> None:
    async with open_log(empty_dsn) as database, open_feed(database) as feed:
        for name in ("a", "secret", "b"):
            await written(database, feed, name, 10)
        async with watch(feed, feed.token_for(1), audience="public") as stream:
            early = await take(stream, 19)
            await written(database, feed, "c", 5)
            late = await take(stream, 5)

        assert revisions(early + late) == [*range(2, 11), *range(21, 36)]


async def test_no_token_is_given_while_the_database_may_be_another(empty_dsn: str) -> None:
    async with open_log(empty_dsn) as database, open_feed(database) as feed:
        await written(database, feed, "a", 3)
        await database.pool.execute(END_OTHER_SESSIONS)
        unsure = False
        async with asyncio.timeout(20):
            while not (unsure and feed.tailer.is_certain):
                unsure = unsure or not feed.tailer.is_certain
                if not feed.tailer.is_certain:
                    with pytest.raises(StoreUnavailable):
                        feed.token_for(1)
                await asyncio.sleep(0)

        assert cursors.position_in(feed.token_for(3), "inventory") is not None


async def test_a_log_that_was_cut_short_under_the_same_epoch_is_noticed_when_the_database_comes_back(
    empty_dsn: str,
) -> None:
    async with open_log(empty_dsn) as database, open_feed(database) as feed:
        await written(database, feed, "a", 10)
        async with watch(feed, feed.token_for(0)) as stream:
            await take(stream, 10)
            async with database.pool.acquire() as connection:
                await connection.execute("ALTER TABLE change_log_000000000000 DISABLE TRIGGER USER")
                await connection.execute("DELETE FROM change_log WHERE revision > 5")
                await connection.execute(END_OTHER_SESSIONS)
            with pytest.raises(StoreUnavailable):
                await take(stream, 1)

        assert feed.tailer.window.end == 5


@pytest.mark.parametrize(
    ("loss", "level"),
    [
        ("SELECT change_log_drop_oldest('0', 1)", "WARNING"),
        (
            "ALTER TABLE change_log_000000000000 DISABLE TRIGGER USER; DELETE FROM change_log WHERE revision = 12",
            "ERROR",
        ),
    ],
    ids=["dropped by retention", "missing"],
)
async def test_entries_that_went_before_they_were_read_are_no_fault_unless_they_were_in_the_middle(
    empty_dsn: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, loss: str, level: str
) -> None:
    monkeypatch.setattr(tailer, "POLL_SECONDS", 3600)
    async with open_log(empty_dsn) as database:
        await database.pool.execute("SELECT change_log_resize_partitions(256)")
        await database.pool.execute(MANY, "a", 11)
        async with open_feed(database) as feed:
            await database.pool.execute(MANY, "b", 300)
            await database.pool.execute(loss)
            feed.wake()
            async with asyncio.timeout(20):
                while feed.tailer.generation == 1:  # noqa: ASYNC110 - nothing tells of it
                    await asyncio.sleep(0.01)

    assert [record.levelname for record in caplog.records if record.name == "changelog.tailer"][:1] == [level]
