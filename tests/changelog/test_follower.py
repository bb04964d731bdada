"""A follower applies every change once, whatever happens to the server and the network."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from changelog import follower as following
from changelog.follower import ChangeBatch, FanOut, Follower
from changelog.sources import StockSource
from chassis import server
from chassis.channels import open_channel
from tests.changelog.change_log import INSERT, open_log
from tests.changelog.thing_service import ThingService
from tests.harness.tcp_proxy import TcpProxy, proxy_to

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from chassis.database import Database

APPEND_TRACED = """
SELECT change_log_append('thing', $1, 1, 'created', NULL, '{}', NULL, NULL, NULL, 'service', NULL, NULL, trace, NULL)
FROM unnest($2::text[]) AS trace
"""
MANY = "INSERT INTO thing SELECT $1 || n, n FROM generate_series(1, $2::int) AS n"


class Recorder:
    """Stores changes and resets in order of arrival; can fail on demand."""

    def __init__(self, start: str | None = "") -> None:
        self.start = start
        self.revisions: list[int] = []
        self.resets: list[list[str]] = []
        self.fail_once: Exception | None = None
        self.opened = asyncio.Event()
        self._grown = asyncio.Event()

    async def position(self) -> str | None:
        return self.start

    async def reset(self, cursor: str, pages: AsyncIterator[Sequence[Any]]) -> None:
        self.resets.append([level.part_id async for page in pages for level in page])
        self._grown.set()

    async def apply(self, batch: ChangeBatch) -> None:
        if self.fail_once is not None and batch.changes:
            error, self.fail_once = self.fail_once, None
            raise error
        self.opened.set()
        self.revisions += [change.revision for change in batch.changes]
        self._grown.set()

    async def until(self, count: int, resets: int = 0) -> None:
        async with asyncio.timeout(30):
            while len(self.revisions) < count or len(self.resets) < resets:
                self._grown.clear()
                await self._grown.wait()


class Scene:
    """A service of things behind a network, and its follower."""

    def __init__(self, database: Database, service: ThingService, proxy: TcpProxy, recorder: Recorder) -> None:
        self.database = database
        self.service = service
        self.proxy = proxy
        self.recorder = recorder
        self._channel = open_channel([f"127.0.0.1:{proxy.port}"])
        self.follower = Follower(StockSource(self._channel), recorder, bookmark_seconds=0.2)

    async def write(self, name: str, count: int = 10) -> None:
        await self.database.pool.execute(MANY, f"{name}-", count)
        self.service.feed.wake()

    async def close(self) -> None:
        await self.follower.stop()
        await self._channel.close()


@asynccontextmanager
async def scene(dsn: str, port: int, recorder: Recorder | None = None, **bounds: int) -> AsyncIterator[Scene]:
    async with open_log(dsn) as database:
        service = ThingService(database, port, **bounds)
        await service.start()
        async with proxy_to(port) as proxy:
            made = Scene(database, service, proxy, recorder or Recorder())
            made.follower.start()
            try:
                await made.recorder.opened.wait()
                yield made
            finally:
                await made.close()
                await service.stop()


async def test_changes_are_applied_once_and_in_order(empty_dsn: str, free_port: int) -> None:
    async with scene(empty_dsn, free_port) as here:
        for name in "abc":
            await here.write(name)
        await here.recorder.until(30)

        assert here.recorder.revisions == list(range(1, 31))


async def test_the_follower_reconnects_to_a_restarted_server_and_misses_nothing(empty_dsn: str, free_port: int) -> None:
    async with scene(empty_dsn, free_port) as here:
        await here.write("before")
        await here.recorder.until(10)
        await here.service.stop()
        await here.database.pool.execute(MANY, "while-down-", 10)
        await here.service.start()
        await here.write("after")
        await here.recorder.until(30)

        assert here.recorder.revisions == list(range(1, 31))


async def test_the_follower_resumes_after_a_broken_connection(empty_dsn: str, free_port: int) -> None:
    async with scene(empty_dsn, free_port) as here:
        for number in range(5):
            await here.write(f"a{number}")
            here.proxy.cut()
            await here.write(f"b{number}")
            here.proxy.heal()
            await here.recorder.until((number + 1) * 20)

        assert here.recorder.revisions == list(range(1, 101))
        assert here.follower.counts.reconnects >= 1


@pytest.mark.parametrize(("stable_seconds", "is_stable"), [(3600.0, False), (0.0, True)])
async def test_only_a_stable_connection_resets_the_back_off(
    empty_dsn: str, free_port: int, monkeypatch: pytest.MonkeyPatch, stable_seconds: float, is_stable: bool
) -> None:
    monkeypatch.setattr(following, "STABLE_SECONDS", stable_seconds)
    async with scene(empty_dsn, free_port) as here:
        resets: list[int] = []
        monkeypatch.setattr(here.follower._backoff, "reset", lambda: resets.append(1))
        here.proxy.cut()
        await here.follower.disconnected.wait()
        here.proxy.heal()
        await here.write("after")
        await here.recorder.until(10)

        assert bool(resets) == is_stable


async def test_silence_is_detected_without_a_broken_connection(empty_dsn: str, free_port: int) -> None:
    async with scene(empty_dsn, free_port) as here:
        await here.write("a")
        await here.recorder.until(10)
        here.proxy.stall()
        await here.write("b")
        await asyncio.wait_for(here.follower.disconnected.wait(), 20)
        here.proxy.heal()
        await here.recorder.until(20)

        assert here.recorder.revisions == list(range(1, 21))


async def test_a_connection_at_its_maximum_age_ends_and_nothing_is_missed(
    empty_dsn: str, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ages = {"grpc.max_connection_age_ms": 300, "grpc.max_connection_age_grace_ms": 100}
    assert ages.keys() <= dict(server._OPTIONS).keys()
    monkeypatch.setattr(server, "_OPTIONS", tuple({**dict(server._OPTIONS), **ages}.items()))
    async with scene(empty_dsn, free_port) as here:
        for number in range(20):
            await here.write(f"a{number}")
            await here.recorder.until((number + 1) * 10)
            if number in (5, 10):
                await asyncio.wait_for(here.follower.disconnected.wait(), 20)

        assert here.recorder.revisions == list(range(1, 201))
        assert here.follower.counts.reconnects >= 2
        assert here.follower.counts.gaps == 0


async def test_the_trace_of_a_write_continues_where_it_is_applied(
    empty_dsn: str, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    monkeypatch.setattr(trace, "get_tracer", lambda name, *_, **__: provider.get_tracer(name))
    one, other = (f"00-{number:032x}-{number:016x}-01" for number in (7, 8))
    async with scene(empty_dsn, free_port) as here:
        await here.database.pool.execute("ALTER TABLE change_log DISABLE TRIGGER USER")
        for name, traces, count in (("alone", [one], 1), ("together", [one, other], 3)):
            await here.database.pool.execute(APPEND_TRACED, name, traces)
            here.service.feed.wake()
            await here.recorder.until(count)

    alone, together = (span for span in spans.get_finished_spans() if span.name == "follow inventory")
    assert alone.context is not None
    assert alone.parent is not None
    assert (alone.context.trace_id, alone.parent.span_id) == (7, 7)
    assert together.parent is None
    assert [link.context.trace_id for link in together.links] == [7, 8]


async def test_a_skipped_revision_is_detected_and_fetched(empty_dsn: str, free_port: int) -> None:
    async with scene(empty_dsn, free_port) as here:
        here.service.servicer.skip = 5
        await here.write("a")
        await here.recorder.until(10)

        assert here.recorder.revisions == list(range(1, 11))
        assert here.follower.counts.gaps == 1


async def test_a_repeated_revision_is_dropped(empty_dsn: str, free_port: int) -> None:
    async with scene(empty_dsn, free_port) as here:
        await here.write("a")
        await here.recorder.until(10)
        here.service.servicer.repeat = 15
        await here.write("b")
        await here.recorder.until(20)

        assert here.recorder.revisions == list(range(1, 21))


@pytest.mark.parametrize(
    ("error", "faults"),
    [
        (RuntimeError("a fault"), 1),
        (asyncpg.ReadOnlySQLTransactionError("read-only"), 0),
        (asyncpg.DiskFullError(""), 0),
    ],
)
async def test_a_sink_that_fails_receives_the_same_changes_again(
    empty_dsn: str, free_port: int, error: Exception, faults: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A database without writes is no error of the follower: one line, without a traceback."""
    async with scene(empty_dsn, free_port) as here:
        here.recorder.fail_once = error
        await here.write("a")
        await here.recorder.until(10)

        assert here.recorder.revisions == list(range(1, 11))
    assert len([record for record in caplog.records if record.exc_info]) == faults


async def test_a_cancelled_stream_is_cancelled_on_the_server_too(empty_dsn: str, free_port: int) -> None:
    async with scene(empty_dsn, free_port) as here:
        for number in range(3):
            here.recorder.fail_once = RuntimeError("a fault")
            await here.write(f"a{number}")
            await here.recorder.until((number + 1) * 10)

        async with asyncio.timeout(10):
            while here.service.feed.watchers != 1:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.02)


async def test_a_sink_without_a_position_starts_with_a_snapshot(empty_dsn: str, free_port: int) -> None:
    async with open_log(empty_dsn) as database:
        await database.pool.execute(INSERT, "early", 1)
        service = ThingService(database, free_port)
        await service.start()
        recorder = Recorder(start=None)
        channel = open_channel([f"127.0.0.1:{free_port}"])
        follower = Follower(StockSource(channel), recorder)
        follower.start()
        await recorder.until(0, resets=1)
        await database.pool.execute(INSERT, "late", 1)
        await recorder.until(1)

        assert recorder.resets == [["early"]]
        assert recorder.revisions == [2]
        await follower.stop()
        await channel.close()
        await service.stop()


async def test_a_new_epoch_leads_to_a_snapshot_and_histories_are_not_mixed(
    empty_dsn: str, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "RESYNC_SPREAD_SECONDS", 0.01)
    async with scene(empty_dsn, free_port) as here:
        await here.write("a")
        await here.recorder.until(10)
        before = here.follower.position
        await here.database.pool.fetchval("SELECT change_log_begin_epoch()")
        await here.recorder.until(10, resets=1)
        await here.write("b")
        await here.recorder.until(20)

        assert here.recorder.revisions == list(range(1, 21))
        after = here.follower.position
        assert before is not None
        assert after is not None
        assert before.epoch != after.epoch


async def test_a_compacted_cursor_leads_to_a_snapshot(
    empty_dsn: str, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "RESYNC_SPREAD_SECONDS", 0.01)
    async with scene(empty_dsn, free_port) as here:
        await here.write("a")
        await here.recorder.until(10)
        here.proxy.cut()
        async with here.database.pool.acquire() as connection:
            await connection.execute(MANY, "b-", 100)
            await connection.execute("ALTER TABLE change_log_000000000000 DISABLE TRIGGER USER")
            await connection.execute("DELETE FROM change_log WHERE revision <= 100")
        await here.service.stop()
        await here.service.start()
        here.proxy.heal()
        await here.recorder.until(10, resets=1)
        await here.write("c")
        await here.recorder.until(20)

        assert len(here.recorder.resets[0]) == 110
        assert here.recorder.revisions[10:] == list(range(111, 121))


async def test_waiting_for_a_position_returns_when_it_is_applied(empty_dsn: str, free_port: int) -> None:
    async with scene(empty_dsn, free_port) as here:
        position = here.follower.position
        assert position is not None
        wanted = type(position)(position.log, position.epoch, 10)
        waiting = asyncio.ensure_future(here.follower.reached(wanted, 20))
        await here.write("a")
        await waiting

        assert len(here.recorder.revisions) == 10


async def test_a_fan_out_feeds_every_sink_equally(empty_dsn: str, free_port: int) -> None:
    async with open_log(empty_dsn) as database:
        await database.pool.execute(MANY, "x-", 20)
        service = ThingService(database, free_port)
        await service.start()
        first, second = Recorder(start=None), Recorder(start=None)
        channel = open_channel([f"127.0.0.1:{free_port}"])
        follower = Follower(StockSource(channel), FanOut(first, second))
        follower.start()
        await second.until(0, resets=1)
        await database.pool.execute(INSERT, "late", 1)
        await second.until(1)

        assert first.resets == second.resets
        assert first.revisions == second.revisions == [21]
        await follower.stop()
        await channel.close()
        await service.stop()
