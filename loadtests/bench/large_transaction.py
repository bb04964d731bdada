"""``./partstream bench large-transaction``: how long an UPDATE of many rows holds up writers of the service.

The UPDATE touches no row of the others. They wait for the log's lock only, which its commit holds while it writes its
entries: the longest call beside it, less the median call without it, is that wait.
"""

import argparse
import asyncio
import statistics
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

import grpc
import psycopg

from loadtests.bench.callers import SERVICE
from loadtests.bench.inventory_process import InventoryProcess, inventory_process
from partstream.inventory.v1 import stock_service_pb2 as pb
from partstream.inventory.v1.movement_pb2 import MovementKind

CALLERS = 4
DEADLINE_SECONDS = 5.0  # of a write at the edge
QUIET_SECONDS = 2.0

LEVELS = """
INSERT INTO stock_level (part_id, location_id, on_hand)
SELECT 'P' || lpad(n::text, 6, '0'), 'main', 1000 FROM generate_series(1, %s) n
"""
OTHERS = """
INSERT INTO stock_level (part_id, location_id, on_hand)
SELECT 'O' || n, 'main', 1000000 FROM generate_series(0, 3) n
"""
UPDATE = "UPDATE stock_level SET on_hand = on_hand + 1 WHERE part_id LIKE 'P%'"


@dataclass
class Others:
    """What those who write beside it met."""

    latencies_ms: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Round:
    """One UPDATE: microseconds a row of statement and commit, and what the others met meanwhile."""

    statement_us: float
    commit_us: float
    others: Others


def run(given: argparse.Namespace) -> int:
    """Measure and print; return 0 when no call beside the transaction failed."""
    with inventory_process() as service:
        with psycopg.connect(service.dsn) as connection:
            connection.execute(OTHERS)
            connection.execute(LEVELS, (given.rows,))
        quiet = asyncio.run(_beside(service, None))
        usual_ms = statistics.median(quiet.latencies_ms)
        rounds = [_round(service, given.rows) for _ in range(given.rounds)]
    _print(rounds, given.rows, usual_ms)
    return 0 if not any(each.others.failures for each in rounds) else 1


def _round(service: InventoryProcess, rows: int) -> Round:
    return asyncio.run(_measure(service, rows))


async def _measure(service: InventoryProcess, rows: int) -> Round:
    update = asyncio.ensure_future(asyncio.to_thread(_update, service.dsn))
    others = await _beside(service, update)
    statement, commit = await update
    return Round(statement * 1e6 / rows, commit * 1e6 / rows, others)


def _update(dsn: str) -> tuple[float, float]:
    with psycopg.connect(dsn) as connection:
        began = time.perf_counter()
        connection.execute(UPDATE.encode())
        executed = time.perf_counter()
        connection.commit()
        return executed - began, time.perf_counter() - executed


async def _beside(service: InventoryProcess, until: asyncio.Future[tuple[float, float]] | None) -> Others:
    """Write one unit after another, for as long as something runs, or for a moment."""
    others = Others()
    end = time.perf_counter() + QUIET_SECONDS
    metadata = (("authorization", f"Bearer {service.token}"),)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{service.port}") as channel:
        call: Callable[..., grpc.aio.UnaryUnaryCall[bytes, bytes]] = channel.unary_unary(SERVICE + "AdjustStock")

        async def write(part_id: str) -> None:
            while not until.done() if until is not None else time.perf_counter() < end:
                request = pb.AdjustStockRequest(
                    request_id=str(uuid.uuid4()), part_id=part_id, delta=-1, kind=MovementKind.MOVEMENT_KIND_SHIPPED
                )
                began = time.perf_counter()
                try:
                    await call(request.SerializeToString(), metadata=metadata, timeout=DEADLINE_SECONDS)
                except grpc.aio.AioRpcError as error:
                    others.failures.append(f"{error.code().name}: {error.details()}")
                others.latencies_ms.append((time.perf_counter() - began) * 1000)

        await asyncio.gather(*(write(f"O{number}") for number in range(CALLERS)))
    return others


def _print(rounds: list[Round], rows: int, usual_ms: float) -> None:
    longest = statistics.median(max(each.others.latencies_ms) for each in rounds) - usual_ms
    failures = [failure for each in rounds for failure in each.others.failures]
    print(f"UPDATE of {rows:,} rows beside {CALLERS} callers, {len(rounds)} rounds, medians")
    print(f"statement                       {statistics.median(each.statement_us for each in rounds):>10.1f} us/row")
    print(f"commit                          {statistics.median(each.commit_us for each in rounds):>10.1f} us/row")
    print(f"a call without it               {usual_ms:>10.1f} ms")
    print(f"longest wait of a call          {longest:>10.1f} ms = {longest * 1000 / rows:.1f} us/row")
    print(f"wait per 10,000 rows            {longest * 10_000 / rows:>10.1f} ms")
    calls = sum(len(each.others.latencies_ms) for each in rounds)
    print(f"calls beside it                 {calls:>10,}, failed: {len(failures)}")
    for failure in sorted(set(failures)):
        print(f"  {failure}")
