"""From the commit to another process having applied it, and the same hop measured bare, at a steady rate of changes."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncpg

from loadtests.bench.streaming.bare import METHOD
from loadtests.bench.streaming.rig import said, told
from partstream.inventory.v1 import stock_service_pb2 as pb
from stack.servers.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadtests.bench.streaming.rig import Rig

_CHANGE_BYTES = 700  # what a stock change takes with its movement and origin
_WARM_SECONDS = 2.0

TRANSACTIONS = """
SELECT max(revision) AS last FROM change_log WHERE revision > $1 GROUP BY transaction_id ORDER BY last
"""


@dataclass(frozen=True, slots=True)
class Hop:
    """Times of one hop, in milliseconds."""

    median: float
    p99: float
    most: float
    samples: int


def hop(nanoseconds: Sequence[int]) -> Hop:
    """The hop that these times make."""
    times = sorted(nanoseconds)
    return Hop(statistics.median(times) / 1e6, times[int(len(times) * 0.99)] / 1e6, times[-1] / 1e6, len(times))


async def measure_bare(rig: Rig, rate: int, burst: int, seconds: float) -> Hop:
    """A message put into a queue in one process, and had by another one."""
    port = free_port()
    server = rig.helper("bare", str(port))
    await said(server)
    reader = rig.helper("readers", str(port), METHOD, "-", "", "1")
    await said(reader)
    command = {"burst": burst, "bytes": _CHANGE_BYTES, "bursts_per_second": rate / burst}
    put: list[int] = (await told(server, json.dumps({**command, "seconds": seconds + _WARM_SECONDS})))["put"]
    got: list[int] = (await told(reader, f"messages {len(put)}"))["stamps"]
    skip = int(_WARM_SECONDS * rate)
    return hop([end - begin for begin, end in zip(put[skip:], got[skip:], strict=True)])


async def measure_follower(rig: Rig, rate: int, burst: int, seconds: float) -> Hop:
    """A commit of ``burst`` changes in the service, and its application by a follower in another process."""
    start = (await rig.head()).revision
    stamped_before = len(rig.stamps.read_text().splitlines())
    follower = rig.helper("timed_follower", str(rig.port), str(rig.key_file), await rig.cursor(), "0")
    await said(follower)
    await _write(rig, rate, burst, seconds + _WARM_SECONDS)
    await asyncio.sleep(1)
    applied: list[tuple[int, int]] = (await told(follower, "stop"))["applied"]
    commits = await _commits(rig, start)
    stamps = [int(line) for line in rig.stamps.read_text().splitlines()[stamped_before:]]
    return hop(_times(list(zip(commits, stamps, strict=True)), applied, stamps[0] + int(_WARM_SECONDS * 1e9)))


async def _commits(rig: Rig, after: int) -> list[int]:
    connection = await asyncpg.connect(rig.dsn)
    try:
        return [row["last"] for row in await connection.fetch(TRANSACTIONS, after)]
    finally:
        await connection.close()


def _times(commits: list[tuple[int, int]], applied: list[tuple[int, int]], since: int) -> list[int]:
    """For each commit, given by its last revision and its moment, how long until that revision was applied."""
    times = []
    at = 0
    for revision, moment in commits:
        while applied[at][0] < revision:
            at += 1
        if moment >= since:
            times.append(applied[at][1] - moment)
    return times


async def _write(rig: Rig, rate: int, burst: int, seconds: float) -> None:
    """Batches of ``burst`` changes, on time whatever the ones before do."""
    async with rig.channel() as channel:
        stub = rig.stub(channel)
        interval = burst / rate
        due = time.monotonic()
        calls = []
        for number in range(int(seconds / interval)):
            due += interval
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            calls.append(asyncio.ensure_future(stub.BatchAdjustStock(batch(number, burst), timeout=10)))
        await asyncio.gather(*calls)


def batch(number: int, burst: int) -> Any:
    """Adjustments of neighbouring parts."""
    parts = (f"part-{(number * burst + offset) % 9000 + 1:08}" for offset in range(burst))
    items = [pb.StockAdjustment(part_id=part, delta=1, reason="bench") for part in parts]
    return pb.BatchAdjustStockRequest(adjustments=items)
