"""``./partstream bench stock``: what the stock service writes in a second, against pgbench on the same server.

Both sides run in one go on one machine, embedded PostgreSQL with fsync on. The yardstick is ``pgbench`` (prepared
statements) doing ``UPDATE level; INSERT log row`` per transaction.
"""

import argparse
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from loadtests.bench import callers, yardstick
from loadtests.bench.inventory_process import InventoryProcess, inventory_process
from partstream.inventory.v1 import stock_service_pb2 as pb
from partstream.inventory.v1.movement_pb2 import MovementKind
from partstream.inventory.v1.reservation_pb2 import ReservationLine

PLENTY = 1_000_000_000
HOT = "HOT"
YARDSTICK_CLIENTS = 32
SELL_OUT_ROUNDS = 30  # of 2 s: no machine needs as many for 1,000 units

# Levels to write to, made by SQL before anything is measured.
LEVELS = f"""
INSERT INTO stock_level (part_id, location_id, on_hand)
SELECT 'P' || lpad(n::text, 6, '0'), 'main', {PLENTY} FROM generate_series(0, {yardstick.ROWS - 1}) n
UNION ALL SELECT '{HOT}', 'main', {PLENTY} UNION ALL SELECT 'LIMITED', 'main', 1000
"""  # noqa: S608 - constants of this file

# Levels that their ledger does not add up to.
WRONG = """
SELECT count(*) FROM stock_level s
LEFT JOIN (SELECT part_id, location_id, count(*) AS movements, sum(on_hand_delta) AS on_hand,
                  sum(reserved_delta) AS reserved FROM stock_movement GROUP BY part_id, location_id) m
     USING (part_id, location_id)
WHERE (m.movements, m.on_hand, m.reserved) IS DISTINCT FROM (s.version, s.on_hand, s.reserved)
"""


@dataclass(frozen=True)
class Row:
    """A line of the table: what was reached against what, as a ratio, and the ratio aimed at."""

    name: str
    reached: str
    against: str
    ratio: float
    target: str
    is_met: bool


def run(given: argparse.Namespace) -> int:
    """Measure and print the table; return 0 when every target is met and the books are right."""
    with inventory_process() as service:
        service.sql(LEVELS)
        service.sql("VACUUM ANALYZE")
        bench = _Bench(service, given.seconds)
        rows = bench.rows()
        _print_table(rows)
        if given.movements:
            bench.watch_memory(given.movements)
        wrong = service.sql(WRONG)[0][0]
        print(f"\nlevels whose ledger does not add up: {wrong}")
        print(f"memory of the service: {service.memory_mib():.0f} MiB")
    return 0 if wrong == 0 and all(row.is_met for row in rows) else 1


class _Bench:
    """One run against one service."""

    def __init__(self, service: InventoryProcess, seconds: int) -> None:
        self.service = service
        self.seconds = seconds
        self.script = yardstick.prepare(service.dsn, service.folder)

    def rows(self) -> list[Row]:
        """Every line, the yardstick measured anew beside each group of lines."""
        spread = self.yardstick(rows=yardstick.ROWS)
        spread_batch = self.call("BatchAdjustStock", _spread_batch, at_once=4, items_each=1000)
        single = self.yardstick(rows=yardstick.ROWS, clients=1)
        lone = self.call("AdjustStock", _spread_one, at_once=1)
        hot = self.yardstick(rows=1)
        hot_batch = self.call("BatchAdjustStock", _hot_batch, at_once=16, items_each=100)
        hot_unary = self.call("AdjustStock", _hot_one, at_once=64)
        held = self.call("CreateReservation", _hold_hot, at_once=64)
        held_batch = self.call("BatchCreateReservations", _hold_hot_batch, at_once=16, items_each=50)
        sold = self.sell_out()
        return [
            _rate("one SKU, batches of 100, 16 callers", hot_batch, hot.per_second, 10),
            _rate("one SKU, one by one, 64 callers", hot_unary, hot.per_second, 1.5),
            _rate("one SKU, reservations, 64 callers", held, hot.per_second, 3),
            _rate("one SKU, reservations by 50, 16 callers", held_batch, hot.per_second, 3),
            _rate("10,000 SKUs, batches of 1,000, 4 callers", spread_batch, spread.per_second, 1),
            _lone(lone, single.latency_ms),
            Row(
                "1,000 units, buyers until none is left",
                f"{sold} sold",
                "1000",
                sold / 1000,
                "= 1",
                is_met=sold == 1000,
            ),
        ]

    def sell_out(self) -> int:
        """Let buyers hold the last units until somebody is refused; answers how many units were held."""
        sold = 0
        for _ in range(SELL_OUT_ROUNDS):
            round_ = self.call("CreateReservation", _hold_limited, at_once=64, seconds=2)
            sold += round_.items
            if round_.refused:
                break
        held = self.service.sql("SELECT reserved FROM stock_level WHERE part_id = 'LIMITED'")[0][0]
        return max(sold, int(str(held)))  # what callers were told, or what is held: neither may exceed what there is

    def yardstick(self, *, rows: int, clients: int = YARDSTICK_CLIENTS) -> yardstick.Yardstick:
        """One measurement of pgbench."""
        return yardstick.run(self.service.dsn, self.script, clients=clients, rows=rows, seconds=self.seconds)

    def call(
        self, method: str, make: Callable[[int], bytes], *, at_once: int, items_each: int = 1, seconds: float = 0
    ) -> callers.Result:
        """One measurement of the service."""
        return callers.run(
            self.service.port,
            self.service.token,
            method,
            callers.endless(make),
            callers=at_once,
            items_each=items_each,
            seconds=seconds or self.seconds,
        )

    def watch_memory(self, movements: int) -> None:
        """Write movements for as long as it takes and print how the service's memory moves."""
        print(f"\n{'movements':>12}  memory")
        done = 0
        while done < movements:
            done += self.call("BatchAdjustStock", _spread_batch, at_once=4, items_each=1000).items
            print(f"{done:>12,}  {self.service.memory_mib():.0f} MiB")


def _adjustment(part: str) -> pb.StockAdjustment:
    return pb.StockAdjustment(part_id=part, delta=-1, kind=MovementKind.MOVEMENT_KIND_SHIPPED)


def _batch(items: list[pb.StockAdjustment]) -> bytes:
    return pb.BatchAdjustStockRequest(request_id=str(uuid.uuid4()), adjustments=items).SerializeToString()


_HOT_ITEMS = [_adjustment(HOT)] * 100
_SPREAD_ITEMS = [
    [_adjustment(f"P{(start + step * 7) % yardstick.ROWS:06}") for step in range(1000)]
    for start in range(0, yardstick.ROWS, 1000)
]


def _hot_batch(_number: int) -> bytes:
    return _batch(_HOT_ITEMS)


def _spread_batch(number: int) -> bytes:
    return _batch(_SPREAD_ITEMS[number % len(_SPREAD_ITEMS)])


def _hot_one(_number: int) -> bytes:
    return _one(HOT)


def _spread_one(number: int) -> bytes:
    return _one(f"P{number * 7919 % yardstick.ROWS:06}")


def _one(part: str) -> bytes:
    return pb.AdjustStockRequest(
        request_id=str(uuid.uuid4()), part_id=part, delta=-1, kind=MovementKind.MOVEMENT_KIND_SHIPPED
    ).SerializeToString()


def _hold_hot(_number: int) -> bytes:
    return _hold(HOT)


def _hold_limited(_number: int) -> bytes:
    return _hold("LIMITED")


def _hold_hot_batch(_number: int) -> bytes:
    return pb.BatchCreateReservationsRequest(reservations=[_wish(HOT) for _ in range(50)]).SerializeToString()


def _hold(part: str) -> bytes:
    return _wish(part).SerializeToString()


def _wish(part: str) -> pb.CreateReservationRequest:
    return pb.CreateReservationRequest(request_id=str(uuid.uuid4()), lines=[ReservationLine(part_id=part, quantity=1)])


def _rate(name: str, result: callers.Result, against: float, target: float) -> Row:
    ratio = result.per_second / against
    return Row(
        name, f"{result.per_second:,.0f}/s", f"{against:,.0f}/s", ratio, f">= {target:g}", is_met=ratio >= target
    )


def _lone(result: callers.Result, against_ms: float) -> Row:
    ratio = result.median_ms / against_ms
    return Row(
        "a lone change, median", f"{result.median_ms:.2f} ms", f"{against_ms:.2f} ms", ratio, "<= 3", is_met=ratio <= 3
    )


def _print_table(rows: list[Row]) -> None:
    print(f"{'':<44}{'reached':>14}{'yardstick':>14}{'ratio':>8}{'target':>9}")
    for row in rows:
        mark = "" if row.is_met else "  missed"
        print(f"{row.name:<44}{row.reached:>14}{row.against:>14}{row.ratio:>8.2f}{row.target:>9}{mark}")
