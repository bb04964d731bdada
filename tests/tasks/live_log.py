"""A real change log with a feed, read as the dispatcher reads a service, and a real worker process."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from changelog import cursor as cursors
from changelog.feed import ChangeFeed
from changelog.follower import ChangeBatch
from changelog.follower_registry import FollowerRegistry
from changelog.log_reader import LogReader
from partstream.changes.v1 import origin_pb2
from partstream.inventory.v1 import movement_pb2, stock_change_pb2, stock_pb2
from partstream.inventory.v1.stock_service_pb2 import WatchStockResponse
from stack.servers.launcher import child_command
from tests.changelog.change_log import keys, open_log

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
    from pathlib import Path

    import asyncpg

    from changelog.log_entry import LogEntry
    from chassis.database import Database
    from tasks.jobs import JobQueue

WAIT_SECONDS = 60.0

# Many things in one transaction each: as many entries as things.
WRITE_MANY = "INSERT INTO thing SELECT $1 || n, n FROM generate_series(1, $2::int) AS n"


def encode(entry: LogEntry, audience: str) -> bytes:
    """A thing's entry as a stock change with one movement."""
    amount = (entry.after or {}).get("amount", 0)
    change = stock_change_pb2.StockChange(
        revision=entry.revision,
        part_id=entry.entity_id,
        location_id="main",
        version=entry.version,
        operation=origin_pb2.OPERATION_CREATED,
        entity="stock_level",
        entity_id=f"{entry.entity_id}/main",
        after=stock_pb2.StockLevel(part_id=entry.entity_id, location_id="main", on_hand=amount, version=1),
        origin=origin_pb2.Origin(actor=origin_pb2.Actor(username="postgres"), source=entry.source),
    )
    change.commit_time.FromDatetime(entry.committed_at)
    change.movements.append(
        movement_pb2.StockMovement(part_id=entry.entity_id, version=1, on_hand_delta=amount, on_hand_after=amount)
    )
    return change.SerializeToString()


class FeedSource:
    """The feed, called without gRPC."""

    log = "inventory"

    def __init__(self, feed: ChangeFeed, reader: LogReader, followers: FollowerRegistry) -> None:
        self.feed = feed
        self._reader = reader
        self._followers = followers

    async def head(self) -> str:
        return cursors.encode(await self._reader.head())

    async def register(self, cursor: str) -> None:
        await self._followers.register("audit", cursors.position_in(cursor, self.log), "test")

    async def report(self, cursor: str) -> None:
        position = cursors.position_in(cursor, self.log)
        assert position is not None
        await self._followers.report("audit", position)

    async def watch(self, cursor: str, bookmark_seconds: float) -> AsyncGenerator[ChangeBatch, None]:
        self.feed.followers = self._followers
        async with aclosing(self.feed.watch(cursor, (), bookmark_seconds, "staff", follower="audit")) as stream:
            async for raw in stream:
                message = WatchStockResponse.FromString(raw)
                yield ChangeBatch(message.cursor, message.changes, message.fragment)

    def snapshot(self) -> AsyncGenerator[tuple[str, Sequence[Any]], None]:
        raise NotImplementedError


class LiveLog:
    """Writes to the log and offers it to the dispatcher."""

    def __init__(self, database: Database, feed: ChangeFeed) -> None:
        self.database = database
        reader = LogReader(database, "inventory")
        feed.followers = FollowerRegistry(database, reader, timedelta(days=7))
        self.source = FeedSource(feed, reader, feed.followers)

    async def write(self, prefix: str, count: int) -> None:
        await self.database.pool.execute(WRITE_MANY, prefix, count)
        self.source.feed.wake()

    async def head(self) -> int:
        head: int = await self.database.pool.fetchval("SELECT max(revision) FROM change_log")
        return head


@asynccontextmanager
async def live_log(dsn: str) -> AsyncIterator[LiveLog]:
    async with open_log(dsn) as database, open_feed(database) as feed:
        yield LiveLog(database, feed)


@asynccontextmanager
async def open_feed(database: Database) -> AsyncIterator[ChangeFeed]:
    feed = ChangeFeed(LogReader(database, "inventory"), encode, keys)
    await feed.start()
    try:
        yield feed
    finally:
        await feed.stop()


class WorkerProcess:
    """``python -m tasks worker``, as a real process."""

    def __init__(self, audit_dsn: str, redis_url: str, log: Path, program: str = "worker", **settings: str) -> None:
        self._environment = os.environ | {
            "PARTSTREAM_AUDIT_DATABASE_URL": audit_dsn,
            "PARTSTREAM_REDIS_URL": redis_url,
            **settings,
        }
        self._log = log
        self.program = program
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                # A killed test run leaves no worker behind.
                child_command([sys.executable, "-m", "tasks", self.program]),
                env=self._environment,
                stdout=output,
                stderr=output,
            )

    def kill(self) -> None:
        """Kill the process, as a crash does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self, seconds: float = 8.0) -> int:
        """Stop the process as a supervisor does; return the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(seconds)

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def read_log(self) -> str:
        return self._log.read_text()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Return when a condition caused by another process holds, which sends no signal to this one."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not await condition():  # noqa: ASYNC110 - as said
            await asyncio.sleep(0.02)


async def until_stored(audit: asyncpg.Pool[asyncpg.Record], rows: int) -> None:
    """Return when the trail holds so many rows."""

    async def stored() -> bool:
        count: int = await audit.fetchval("SELECT count(*) FROM data_change")
        return count >= rows

    await until(stored)


async def until_waiting(jobs: JobQueue, queue: str, count: int) -> None:
    """Return when so many jobs wait."""

    async def waiting() -> bool:
        return (await jobs.depth(queue)).waiting >= count

    await until(waiting)


async def until_logged(worker: WorkerProcess, words: str) -> None:
    """Return when a process has logged a text."""

    async def logged() -> bool:
        return words in worker.read_log()

    await until(logged)


async def stored_revisions(audit: asyncpg.Pool[asyncpg.Record]) -> list[int]:
    rows = await audit.fetch("SELECT revision FROM data_change WHERE operation <> 'gap' ORDER BY id")
    return [row["revision"] for row in rows]
