"""A warehouse in memory: applies decisions as the writer and the database do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from inventory_svc.commands.update_stock import update_stock_with_sync
from inventory_svc.domain.commands import Command
from inventory_svc.domain.reservation import Reservation, ReservationState
from inventory_svc.domain.stock import LevelKey, Location, Movement, Origin, StockLevel
from inventory_svc.domain.unit_of_work import UnitOfWork

BUYER = Origin("11111111-1111-1111-1111-111111111111", "buyer")
START = datetime(2026, 1, 1, tzinfo=UTC)


class Warehouse:
    """Stores levels, reservations, locations and the ledger, and decides one command at a time."""

    def __init__(self, *locations: str) -> None:
        self.now = START
        self.levels: dict[LevelKey, StockLevel] = {}
        self.reservations: dict[str, Reservation] = {}
        self.locations = {name: Location(name, name.title()) for name in ("main", *locations)}
        self.ledger: list[Movement] = []

    def do(self, command: Command, origin: Origin = BUYER) -> Any:
        """Decide a command. A rejected command raises and changes nothing."""
        unit_of_work = self.unit_of_work()
        outcome = update_stock_with_sync(unit_of_work, command, origin)
        self.keep(unit_of_work)
        return outcome

    def unit_of_work(self) -> UnitOfWork:
        """Return a unit of work of all rows."""
        return UnitOfWork(self.now, dict(self.levels), dict(self.reservations), dict(self.locations))

    def keep(self, unit_of_work: UnitOfWork) -> None:
        """Store the rows as the database does at a commit."""
        self.levels.update(unit_of_work.levels)
        self.reservations.update(unit_of_work.reservations)
        self.locations.update(unit_of_work.locations)
        self.ledger += unit_of_work.movements

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)

    def check(self) -> None:
        """Check the invariants, which hold after any sequence of commands."""
        for key, level in self.levels.items():
            moves = [item for item in self.ledger if (item.part_id, item.location_id) == key]
            assert 0 <= level.reserved <= level.on_hand
            assert [item.version for item in moves] == list(range(1, level.version + 1))
            assert sum(item.on_hand_delta for item in moves) == level.on_hand
            assert sum(item.reserved_delta for item in moves) == level.reserved
            _check_chain(moves)
            if level.archived_at is not None:
                assert level.reserved == 0
        held = [item for item in self.reservations.values() if item.state is ReservationState.HELD]
        for key, level in self.levels.items():
            assert level.reserved == sum(line.quantity for item in held for line in item.lines if line.key == key)


def _check_chain(moves: list[Movement]) -> None:
    on_hand = reserved = 0
    last_time = START
    for item in moves:
        on_hand += item.on_hand_delta
        reserved += item.reserved_delta
        assert (item.on_hand_after, item.reserved_after) == (on_hand, reserved)
        assert 0 <= item.reserved_after <= item.on_hand_after
        assert item.occurred_at >= last_time
        last_time = item.occurred_at
