"""How fast a follower that begins at the beginning catches up from the table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from loadtests.bench.streaming.fan_out import WATCH
from loadtests.bench.streaming.rig import said, told
from partstream.inventory.v1.stock_service_pb2 import WatchStockRequest

if TYPE_CHECKING:
    from loadtests.bench.streaming.rig import Rig


@dataclass(frozen=True, slots=True)
class CatchUp:
    """Changes a second that a follower applied, and that a reader got raw; the service's time for one change."""

    followed_per_second: float
    read_per_second: float
    server_cpu_us: float


async def measure(rig: Rig, changes: int) -> CatchUp:
    """Follow the last ``changes`` entries; the service must not have them in its window."""
    head = await rig.head()
    start = head.revision - changes
    follower = rig.helper(
        "timed_follower", str(rig.port), str(rig.key_file), await rig.cursor(start), str(head.revision)
    )
    began = (await said(follower))["began"]
    cpu = rig.cpu_seconds()
    applied = (await said(follower))["applied"]
    cpu = rig.cpu_seconds() - cpu
    followed = (applied[-1][1] - began) / 1e9
    request = WatchStockRequest(cursor=await rig.cursor(start)).SerializeToString().hex()
    reader = rig.helper("readers", str(rig.port), WATCH, str(rig.key_file), request, "1")
    await said(reader)
    end = await told(reader, f"revision {head.revision}")
    read = (end["at"] - end["stamps"][0]) / 1e9
    return CatchUp(changes / followed, changes / read, cpu * 1e6 / changes)
