"""A hundred watchers of everything on one process, against a hundred streams that get each change in a message."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from loadtests.bench.streaming.bare import METHOD
from loadtests.bench.streaming.rig import said, told
from partstream.inventory.v1.stock_service_pb2 import WatchStockRequest
from stack.servers.ports import free_port

if TYPE_CHECKING:
    from loadtests.bench.streaming.rig import Rig

WATCHERS = 100
WATCH = "/partstream.inventory.v1.InventoryService/WatchStock"
_CHANGE_BYTES = 700

# Many transactions of 20 changes each, as fast as the database makes them.
STORM = """
DO $$
BEGIN
    FOR n IN 1..{transactions} LOOP
        UPDATE stock_level SET on_hand = on_hand + 1
        WHERE part_id IN (
            SELECT 'part-' || lpad(((n * 20 + k) % 9000 + 1)::text, 8, '0') FROM generate_series(0, 19) AS k);
        COMMIT;
    END LOOP;
END $$
"""


@dataclass(frozen=True, slots=True)
class FanOut:
    """Deliveries are changes times watchers."""

    deliveries_per_second: float
    messages: int
    mbytes_per_second: float
    server_cpu_us_per_delivery: float


async def measure_one_by_one(rig: Rig, changes: int) -> FanOut:
    """Each change in a message of its own to each stream."""
    port = free_port()
    server = rig.helper("bare", str(port))
    await said(server)
    reader = rig.helper("readers", str(port), METHOD, "-", "", str(WATCHERS))
    await said(reader)
    began = time.monotonic_ns()
    await told(server, f'{{"flood": {changes}, "bytes": {_CHANGE_BYTES}}}')
    end = await told(reader, f"messages {changes}")
    return _fan_out(changes, began, end, 0.0)


async def measure_watchers(rig: Rig, changes: int) -> FanOut:
    """Watches of everything, while the database changes as fast as it can."""
    request = WatchStockRequest(cursor=await rig.cursor()).SerializeToString().hex()
    reader = rig.helper("readers", str(rig.port), WATCH, str(rig.key_file), request, str(WATCHERS))
    await said(reader)
    cpu = rig.cpu_seconds()
    began = time.monotonic_ns()
    await rig.execute(STORM.format(transactions=changes // 20))
    end = await told(reader, f"revision {(await rig.head()).revision}")
    return _fan_out(changes, began, end, rig.cpu_seconds() - cpu)


def _fan_out(changes: int, began: int, end: dict[str, int], cpu: float) -> FanOut:
    seconds = (end["at"] - began) / 1e9
    deliveries = changes * WATCHERS
    return FanOut(deliveries / seconds, end["messages"], end["bytes"] / seconds / 1e6, cpu * 1e6 / deliveries)
