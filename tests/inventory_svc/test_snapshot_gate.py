"""A server reads four snapshots at a time; a fifth gets a retry delay; a slot is free when its reader ends."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
from typing import TYPE_CHECKING, Any

import asyncpg
import grpc
import pytest

import chassis.interceptor
from changelog import cursor as cursors
from changelog import follower as following
from changelog import snapshot_gate
from changelog.follower import ChangeBatch, Follower
from changelog.snapshot_gate import AT_ONCE, SnapshotGate
from changelog.sources import StockSource
from chassis.background import Backoff
from chassis.channels import open_channel
from chassis.errors import DeadlinePassed, Overloaded, PartstreamError, WatcherTooSlow
from chassis.rich_status import from_rpc_error
from inventory_svc.servicer import streams
from partstream.inventory.v1 import stock_service_pb2 as pb
from partstream.inventory.v1.stock_service_pb2_grpc import InventoryServiceStub
from tests.harness.tcp_proxy import proxy_to
from tests.inventory_svc.running import Running, refusal, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence
    from pathlib import Path

# Levels without ledger and log, because only snapshots are read here.
LEVELS = """
ALTER TABLE stock_level DISABLE TRIGGER USER;
INSERT INTO stock_level (part_id, location_id, on_hand, last_updated_by, last_updated_by_name)
    SELECT 'part-' || lpad(n::text, 6, '0'), 'main', 5, '00000000-0000-0000-0000-000000000001', 'inventory_svc'
    FROM generate_series(1, {count}) AS n;
ALTER TABLE stock_level ENABLE TRIGGER USER;
"""
MANY = 150_000  # 10 MB: more than the network takes ahead of a reader that stands still
FEW = 10_000  # five pages
NEW = "INSERT INTO stock_level (part_id, location_id, on_hand) VALUES (%s, 'main', 1)"
STATE = "SELECT part_id, version FROM stock_level"
FOLLOWERS = 20


class WatchedGate(SnapshotGate):
    """The gate, the most that were ever in it, and how many were sent away."""

    newest: WatchedGate

    def __init__(self) -> None:
        super().__init__(most_seconds=snapshot_gate.MOST_SECONDS)
        self.most = 0
        self.refused = 0
        self.entered = 0
        self.pages_each: float = math.inf
        WatchedGate.newest = self

    @contextlib.contextmanager
    def enter(self) -> Iterator[Callable[[], None]]:
        try:
            with super().enter() as require_time:
                self.entered += 1
                self.most = max(self.most, self.open)
                pages = itertools.count(1)

                def require_time_and_pages() -> None:
                    require_time()
                    if next(pages) > self.pages_each:
                        raise DeadlinePassed("Long enough.")

                yield require_time_and_pages
        except Overloaded:
            self.refused += 1
            raise


@contextlib.asynccontextmanager
async def serving(
    dsn: str, folder: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> AsyncIterator[tuple[Running, WatchedGate]]:
    """A service with so many levels, and its gate."""
    connection = await asyncpg.connect(dsn)
    await connection.execute(LEVELS.format(count=count))
    await connection.close()
    monkeypatch.setattr(streams, "SnapshotGate", WatchedGate)
    async with running(dsn, folder) as service:
        yield service, WatchedGate.newest


async def begun(stub: Any) -> Any:
    """A snapshot of which the first message was read, and no more."""
    call = stub.SnapshotStock(pb.SnapshotStockRequest())
    assert (await call.read()).cursor
    return call


async def until(holds: Callable[[], bool], *, pause: Callable[[], None] = lambda: None) -> None:
    """Return once it holds."""
    async with asyncio.timeout(60):
        while not holds():
            pause()
            await asyncio.sleep(0.02)


async def until_open(gate: SnapshotGate, count: int) -> None:
    await until(lambda: gate.open == count)


async def the_end_of(call: Any) -> PartstreamError | None:
    """Read a snapshot to its end; the error that it ended with."""
    try:
        async for _ in call:
            pass
    except grpc.aio.AioRpcError as error:
        return from_rpc_error(error)
    return None


async def test_a_fifth_snapshot_is_sent_away_until_one_is_cancelled(
    inventory_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(inventory_dsn, tmp_path, monkeypatch, MANY) as (service, gate):
        calls = [await begun(service.staff) for _ in range(AT_ONCE)]
        busy = await refusal(service.staff.SnapshotStock(pb.SnapshotStockRequest()).read())
        assert isinstance(busy, Overloaded)
        assert busy.retry_after_seconds == 2.0
        assert gate.open == AT_ONCE

        calls[0].cancel()
        await until_open(gate, AT_ONCE - 1)
        calls[0] = await begun(service.staff)

        for call in calls:
            call.cancel()
        await until_open(gate, 0)


async def test_a_slot_is_free_when_its_reader_dies(
    inventory_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(inventory_dsn, tmp_path, monkeypatch, MANY) as (service, gate):
        async with (
            proxy_to(service.app.server.port) as net,
            open_channel([f"127.0.0.1:{net.port}"], token=service.token) as channel,
        ):
            stub: Any = InventoryServiceStub(channel)
            calls = [await begun(stub) for _ in range(AT_ONCE)]
            await until_open(gate, AT_ONCE)
            net.cut()
            await until_open(gate, 0)
            for call in calls:
                call.cancel()
        assert await the_end_of(service.staff.SnapshotStock(pb.SnapshotStockRequest())) is None


async def test_a_reader_that_stands_still_is_ended(
    inventory_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chassis.interceptor, "STREAM_WRITE_SECONDS", 0.3)
    async with serving(inventory_dsn, tmp_path, monkeypatch, MANY) as (service, gate):
        call = await begun(service.staff)
        await until_open(gate, 0)

        assert isinstance(await the_end_of(call), WatcherTooSlow)


async def test_a_reader_that_takes_too_long_is_ended(
    inventory_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot_gate, "MOST_SECONDS", 0.0)
    async with serving(inventory_dsn, tmp_path, monkeypatch, FEW) as (service, gate):
        ended = await the_end_of(service.staff.SnapshotStock(pb.SnapshotStockRequest()))
        assert isinstance(ended, DeadlinePassed)
        assert gate.open == 0


class Levels:
    """What a follower feeds: the version of every level."""

    def __init__(self) -> None:
        self.versions: dict[str, int] = {}
        self.resets = 0

    async def position(self) -> str | None:
        return ""

    async def reset(self, cursor: str, pages: AsyncIterator[Sequence[Any]]) -> None:
        self.versions = {level.part_id: level.version async for page in pages for level in page}
        self.resets += 1

    async def apply(self, batch: ChangeBatch) -> None:
        for change in batch.changes:
            if change.part_id:
                self.versions[change.part_id] = change.version


def _write(service: Running, part_id: str) -> None:
    service.sql(NEW, part_id)


async def test_a_herd_of_followers_is_resynced_four_at_a_time(
    inventory_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "RESYNC_SPREAD_SECONDS", 0.05)
    monkeypatch.setattr(snapshot_gate, "_RETRY_SECONDS", 0.2)
    async with (
        serving(inventory_dsn, tmp_path, monkeypatch, FEW) as (service, gate),
        contextlib.AsyncExitStack() as stack,
    ):
        sinks = [Levels() for _ in range(FOLLOWERS)]
        followers = []
        for sink in sinks:
            channel = await stack.enter_async_context(
                open_channel([f"127.0.0.1:{service.app.server.port}"], token=service.token)
            )
            follower = Follower(StockSource(channel), sink, backoff=Backoff(0.02, 0.2))
            stack.push_async_callback(follower.stop)
            follower.start()
            followers.append(follower)
        await until(lambda: all(follower.connected for follower in followers))
        service.sql("SELECT change_log_begin_epoch()")
        names = (f"new-{number}" for number in itertools.count())
        await until(lambda: all(sink.resets for sink in sinks), pause=lambda: _write(service, next(names)))
        service.app.feed.wake()
        head = await service.staff.SetStock(
            pb.SetStockRequest(part_id="last", location_id="main", on_hand=1, expected_version=0)
        )
        position = cursors.position_in(head.revision_token, "inventory")
        assert position is not None
        await asyncio.gather(*(follower.reached(position, 30) for follower in followers))

        truth = dict(service.sql(STATE))
        assert all(sink.versions == truth for sink in sinks)
        assert gate.most == AT_ONCE
        assert gate.refused > 0
        assert gate.open == 0


async def test_a_snapshot_that_is_ended_again_and_again_is_resumed_to_its_end(
    inventory_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        serving(inventory_dsn, tmp_path, monkeypatch, FEW) as (service, gate),
        open_channel([f"127.0.0.1:{service.app.server.port}"], token=service.token) as channel,
    ):
        gate.pages_each = 1
        pages = [(cursor, len(levels)) async for cursor, levels in StockSource(channel).snapshot()]

        assert [bool(cursor) for cursor, _ in pages] == [True, False, False, False, False, False]
        assert sum(count for _, count in pages) == FEW
        assert gate.entered == 5
