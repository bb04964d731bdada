"""Any sequence of commands keeps the invariants: no negative stock, no unit reserved twice, the ledger sums up."""

from __future__ import annotations

import contextlib
import uuid
from datetime import timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from chassis.errors import InternalFault, PartstreamError
from inventory_svc.domain import commands
from inventory_svc.domain.reservation import Owner, ReservationLine
from inventory_svc.domain.stock import MovementKind
from tests.inventory_svc.domain.warehouse import Warehouse

PARTS = st.sampled_from(["bolt", "nut"])
LOCATIONS = st.sampled_from(["main", "berlin"])
KEYS = st.tuples(PARTS, LOCATIONS)
UNITS = st.integers(1, 12)
VERSIONS = st.one_of(st.none(), st.none(), st.integers(0, 6))
LINES = st.lists(
    st.builds(ReservationLine, PARTS, st.sampled_from(["", "main", "berlin"]), UNITS), min_size=1, max_size=4
)
OWNER = Owner("cart", is_user=False)


class AnySequence(RuleBasedStateMachine):
    """Draws valid and invalid commands, and time."""

    def __init__(self) -> None:
        super().__init__()
        self.warehouse = Warehouse("berlin")

    def attempt(self, command: commands.Command) -> Any:
        """Run a command. A rejection is a valid result if a rule raised it and nothing changed."""
        before = self.warehouse.unit_of_work()
        try:
            return self.warehouse.do(command)
        except InternalFault:
            raise
        except PartstreamError:
            assert self.warehouse.unit_of_work() == before
            return None

    @rule(key=KEYS, on_hand=st.integers(0, 30), version=VERSIONS, unconditional=st.booleans())
    def count(self, key: tuple[str, str], on_hand: int, version: int | None, unconditional: bool) -> None:
        self.attempt(commands.SetStock(key, on_hand, version, unconditional, allow_missing=True, reason="counted"))

    @rule(key=KEYS, delta=st.integers(-12, 12).filter(bool), version=VERSIONS)
    def adjust(self, key: tuple[str, str], delta: int, version: int | None) -> None:
        self.attempt(commands.AdjustStock(key, delta, MovementKind.ADJUSTED, "why", version))

    @rule(
        items=st.lists(st.tuples(KEYS, st.integers(-12, 12).filter(bool)), min_size=1, max_size=5), atomic=st.booleans()
    )
    def adjust_many(self, items: list[tuple[tuple[str, str], int]], atomic: bool) -> None:
        adjustments = [
            commands.AdjustStock(key, delta, MovementKind.ADJUSTED, "why", allow_missing=number % 2 == 0)
            for number, (key, delta) in enumerate(items)
        ]
        self.attempt(commands.BatchAdjust(adjustments, atomic))

    @rule(part=PARTS, origin=LOCATIONS, goal=LOCATIONS, units=UNITS)
    def transfer(self, part: str, origin: str, goal: str, units: int) -> None:
        self.attempt(commands.TransferStock(part, origin, goal, units, None, "move"))

    @rule(key=KEYS)
    def archive(self, key: tuple[str, str]) -> None:
        self.attempt(commands.ArchiveStock(key, None, ""))

    @rule(key=KEYS)
    def restore(self, key: tuple[str, str]) -> None:
        self.attempt(commands.RestoreStock(key, None, ""))

    @rule(key=KEYS, point=st.integers(0, 5))
    def set_reorder_point(self, key: tuple[str, str], point: int) -> None:
        self.attempt(commands.SetReorderPoint(key, point, None))

    @rule(data=st.data())
    def reverse(self, data: st.DataObject) -> None:
        if self.warehouse.ledger:
            movement = data.draw(st.sampled_from(self.warehouse.ledger))
            self.attempt(commands.ReverseMovement(movement, "undo"))

    @rule(lines=LINES, seconds=st.integers(1, 20), data=st.data())
    def reserve(self, lines: list[ReservationLine], seconds: int, data: st.DataObject) -> None:
        replaces = data.draw(st.sampled_from([None, *self.warehouse.reservations]))
        self.attempt(
            commands.CreateReservation(
                str(uuid.uuid4()), lines, timedelta(seconds=seconds), OWNER, "", replaces, may_act_for_others=False
            )
        )

    @rule(data=st.data(), kind=st.sampled_from([commands.CommitReservation, commands.ReleaseReservation]))
    def end_reservation(self, data: st.DataObject, kind: Any) -> None:
        if self.warehouse.reservations:
            chosen = data.draw(st.sampled_from(list(self.warehouse.reservations)))
            self.attempt(kind(chosen, OWNER, may_act_for_others=False))

    @rule(data=st.data(), seconds=st.integers(1, 20))
    def extend(self, data: st.DataObject, seconds: int) -> None:
        if self.warehouse.reservations:
            chosen = data.draw(st.sampled_from(list(self.warehouse.reservations)))
            self.attempt(
                commands.ExtendReservation(chosen, timedelta(seconds=seconds), OWNER, may_act_for_others=False)
            )

    @rule(seconds=st.integers(1, 15), is_swept=st.booleans())
    def pass_time(self, seconds: int, is_swept: bool) -> None:
        self.warehouse.wait(seconds)
        if is_swept:
            self.attempt(commands.ExpireOverdue())

    @rule(location=LOCATIONS)
    def archive_location(self, location: str) -> None:
        holds_stock = any(key[1] == location and level.on_hand for key, level in self.warehouse.levels.items())
        if location != "main" and not holds_stock:
            with contextlib.suppress(PartstreamError):
                self.warehouse.do(commands.ArchiveLocation(location))

    @invariant()
    def books_are_right(self) -> None:
        self.warehouse.check()


TestAnySequence = AnySequence.TestCase
TestAnySequence.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
