"""Writes per second without watchers and with a hundred that watch everything."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from loadtests.bench.streaming.fan_out import WATCH, WATCHERS
from loadtests.bench.streaming.rig import said
from partstream.inventory.v1 import stock_service_pb2 as pb

if TYPE_CHECKING:
    from loadtests.bench.streaming.rig import Rig

_WRITERS = 32
_WARM_SECONDS = 1.0


async def measure(rig: Rig, seconds: float, rounds: int) -> tuple[float, float]:
    """Writes a second without and with watchers, by turns, so that whatever else the machine does meets both."""
    without, watched = 0.0, 0.0
    for _ in range(rounds):
        without += await _writes(rig, seconds)
        request = pb.WatchStockRequest(cursor=await rig.cursor()).SerializeToString().hex()
        readers = rig.helper("readers", str(rig.port), WATCH, str(rig.key_file), request, str(WATCHERS))
        await said(readers)
        watched += await _writes(rig, seconds)
        readers.kill()
        readers.wait()
    return without / rounds, watched / rounds


async def _writes(rig: Rig, seconds: float) -> float:
    async with rig.channel() as channel:
        stub = rig.stub(channel)
        done = 0
        begins = time.monotonic() + _WARM_SECONDS
        ends = begins + seconds

        async def write(number: int) -> None:
            nonlocal done
            while (now := time.monotonic()) < ends:
                await stub.AdjustStock(_adjust(number), timeout=10)
                done += now >= begins
                number += _WRITERS

        await asyncio.gather(*(write(number) for number in range(_WRITERS)))
        return done / (time.monotonic() - begins)


def _adjust(number: int) -> Any:
    return pb.AdjustStockRequest(part_id=f"part-{number % 9000 + 1:08}", delta=1, reason="bench")
