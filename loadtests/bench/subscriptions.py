"""``./partstream bench subscriptions``: what one greedy address costs every other client of the running edge.

A reader asks for the stock of a part over REST, a socket waits for the frames of its changes; both are timed without
and with an address beside them whose sockets subscribe to as much as they can, again and again. Said are the ratios.
Load and stack share the machine, so a part of each ratio is the load generator's own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import time
import uuid
from typing import TYPE_CHECKING, Any

from loadtests.bench.live import TIMEOUT_SECONDS, Finish, Listener, a_part, open_listeners, rest_reader
from partstream.inventory.v1 import stock_service_pb2
from stack import stack_state
from stack.checkout import ROOT
from stack.service_calls.service_access import open_services, service_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from partstream.inventory.v1.stock_service_pb2_grpc import InventoryServiceAsyncStub

CHANGE_PAUSE_SECONDS = 0.05
SETTLE_SECONDS = 1.0  # the first snapshots read parts that nothing has in memory yet


def run(given: argparse.Namespace) -> int:
    """Measure and print a line per figure."""
    folder = stack_state.data_folder(given.data_dir)
    asyncio.run(_measure(folder, given))
    return 0


async def _measure(folder: Path, given: argparse.Namespace) -> None:
    port = stack_state.read_running(folder).first_edge
    part_id = a_part(port)
    (listener,) = await open_listeners(port, part_id, 1)
    try:
        async with open_services(service_settings(folder), "bench-subscriptions") as services:
            alone = await _others(services.inventory, listener, port, part_id, given.seconds)
            async with _load(port, given) as load:
                await asyncio.sleep(SETTLE_SECONDS)
                beside = await _others(services.inventory, listener, port, part_id, given.seconds)
                figures = json.loads((await load.communicate(b""))[0])
    finally:
        listener.close()
    print(f"{'':<24}{'alone':>12}{'with the load':>16}   ratio")
    for name in alone:
        print(f"{name:<24}{alone[name]:>9.2f} ms{beside[name]:>13.2f} ms   {beside[name] / alone[name]:.1f}")
    rate = figures["snapshots"] * given.parts / (given.seconds + SETTLE_SECONDS)
    print(
        f"the load got {rate:,.0f} parts a second, {figures['refused']:,} refusals, {figures['closed']} sockets closed"
    )


async def _others(
    inventory: InventoryServiceAsyncStub, listener: Listener, port: int, part_id: str, seconds: float
) -> dict[str, float]:
    """Milliseconds of another client's reads and frames."""
    async with rest_reader(port, part_id) as process:
        frames = await _frames(inventory, listener, part_id, seconds)
        reads: dict[str, Any] = json.loads((await process.communicate(b""))[0])
    return {
        "REST read, median": reads["median"],
        "REST read, p99": reads["p99"],
        "live frame, median": 1_000 * statistics.median(frames),
        "live frame, p99": 1_000 * sorted(frames)[int(len(frames) * 0.99)],
    }


async def _frames(
    inventory: InventoryServiceAsyncStub, listener: Listener, part_id: str, seconds: float
) -> list[float]:
    """Seconds from the request of a write until its frame, again and again."""
    taken = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        stock = (await inventory.GetStock(stock_service_pb2.GetStockRequest(part_id=part_id))).stock
        listener.finish = finish = Finish(stock.version + 1, 1)
        began = time.monotonic()
        await inventory.AdjustStock(
            stock_service_pb2.AdjustStockRequest(
                request_id=str(uuid.uuid4()), part_id=part_id, location_id="main", delta=1, reason="bench subscriptions"
            )
        )
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await finish.reached.wait()
        taken.append(finish.told_at[0] - began)
        await asyncio.sleep(CHANGE_PAUSE_SECONDS)
    return taken


@contextlib.asynccontextmanager
async def _load(port: int, given: argparse.Namespace) -> AsyncIterator[asyncio.subprocess.Process]:
    amounts = [str(amount) for amount in (port, given.sockets, given.subscriptions, given.parts)]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "loadtests.bench.subscription_load",
        *amounts,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
