"""What watchers cost in memory: open and idle, and opened and cancelled by the thousand."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from loadtests.bench.streaming.fan_out import WATCH
from loadtests.bench.streaming.rig import said
from partstream.inventory.v1.stock_service_pb2 import SnapshotStockRequest, WatchStockRequest

if TYPE_CHECKING:
    from loadtests.bench.streaming.rig import Rig

_AT_ONCE = 50


async def measure_idle(rig: Rig, watchers: int) -> float:
    """KiB of the service for each idle watcher."""
    await _open_and_cancel(rig, 500)  # what the first watchers cost once and for all
    before = rig.rss_kib()
    request = WatchStockRequest().SerializeToString().hex()
    readers = rig.helper("readers", str(rig.port), WATCH, str(rig.key_file), request, str(watchers))
    await said(readers)
    await asyncio.sleep(6)  # each has had a bookmark by then
    cost = (rig.rss_kib() - before) / watchers
    readers.kill()
    readers.wait()
    return cost


async def measure_soak(rig: Rig, watches: int) -> tuple[int, int, int]:
    """KiB of the service after a tenth of the watches, after half and after all."""
    await _open_and_cancel(rig, watches // 10)
    early = rig.rss_kib()
    await _open_and_cancel(rig, watches // 2 - watches // 10)
    half = rig.rss_kib()
    await _open_and_cancel(rig, watches - watches // 2)
    return early, half, rig.rss_kib()


async def _open_and_cancel(rig: Rig, watches: int) -> None:
    async with rig.channel() as channel:
        stub = rig.stub(channel)

        async def watch() -> None:
            call = stub.WatchStock(WatchStockRequest())
            await call.read()
            call.cancel()

        for _ in range(watches // _AT_ONCE):
            await asyncio.gather(*(watch() for _ in range(_AT_ONCE)))


async def measure_snapshot(rig: Rig) -> tuple[int, float, int]:
    """Levels, seconds and the most KiB that the service grew by while they were sent."""
    before = rig.rss_kib()
    loop = asyncio.get_running_loop()
    async with rig.channel() as channel:
        levels, most = 0, 0
        began = loop.time()
        async for page in rig.stub(channel).SnapshotStock(SnapshotStockRequest()):
            levels += len(page.levels)
            most = max(most, rig.rss_kib() - before)
        return levels, loop.time() - began, most
