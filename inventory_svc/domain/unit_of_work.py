"""The unit of work: the rows that a transaction has read under locks, and the changes decided since.

A ``UnitOfWork`` belongs to one transaction. Each request collects ``RequestChanges`` on top of it; those of an accepted
request are applied, those of a rejected one are dropped, so that a rejection does not affect other requests.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from chassis.errors import FieldInvalid, FieldViolation, InternalFault
from inventory_svc.domain.reservation import guests_of, is_open_guest
from inventory_svc.domain.stock import MAX_UNITS, Movement, StockLevel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from inventory_svc.domain.reservation import Reservation
    from inventory_svc.domain.stock import LevelKey, Location, Origin

Thing = TypeVar("Thing")


@dataclass(slots=True)
class Change(Generic[Thing]):
    """A reservation or location that was created (``before is None``) or changed, and the origin."""

    before: Thing | None
    after: Thing
    origin: Origin


@dataclass(slots=True)
class UnitOfWork:
    """All rows that a transaction has locked, as of the decisions so far."""

    now: datetime
    levels: dict[LevelKey, StockLevel] = field(default_factory=dict)
    reservations: dict[str, Reservation] = field(default_factory=dict)
    locations: dict[str, Location] = field(default_factory=dict)
    published: frozenset[str] = frozenset()  # of the parts that a decision requires
    epochs: frozenset[str] = frozenset()  # names of the log's epoch, where a decision requires it
    movements: list[Movement] = field(default_factory=list)
    changed_levels: dict[LevelKey, StockLevel | None] = field(default_factory=dict)  # as they were before
    changed_reservations: dict[str, Change[Reservation]] = field(default_factory=dict)
    changed_locations: dict[str, Change[Location]] = field(default_factory=dict)
    # Open reservations, and reserved units of a level, by cart or address of a guest.
    open_reservations: dict[str, int] = field(default_factory=dict)
    held_units: dict[tuple[str, LevelKey], int] = field(default_factory=dict)


class RequestChanges:
    """The changes of one request to a unit of work, before they are applied."""

    __slots__ = ("levels", "locations", "movements", "origin", "reservations", "unit_of_work")

    def __init__(self, unit_of_work: UnitOfWork, origin: Origin) -> None:
        """Start without changes, on behalf of ``origin``."""
        self.unit_of_work = unit_of_work
        self.origin = origin
        self.levels: dict[LevelKey, StockLevel] = {}
        self.movements: list[Movement] = []
        self.reservations: dict[str, Change[Reservation]] = {}
        self.locations: dict[str, Change[Location]] = {}

    @property
    def now(self) -> datetime:
        """Return the time of the database at the start of the decisions."""
        return self.unit_of_work.now

    def level(self, key: LevelKey) -> StockLevel | None:
        """Return the level with the changes of this request."""
        return self.levels.get(key) or self.unit_of_work.levels.get(key)

    def levels_of(self, part_id: str) -> list[StockLevel]:
        """Return every locked level of a part, by location id."""
        keys = sorted({key for key in (*self.unit_of_work.levels, *self.levels) if key[0] == part_id})
        return [level for key in keys if (level := self.level(key))]

    def reservation(self, reservation_id: str) -> Reservation | None:
        """Return the reservation with the changes of this request."""
        change = self.reservations.get(reservation_id)
        return change.after if change else self.unit_of_work.reservations.get(reservation_id)

    def location(self, location_id: str) -> Location | None:
        """Return the location with the changes of this request."""
        change = self.locations.get(location_id)
        return change.after if change else self.unit_of_work.locations.get(location_id)

    def move(
        self,
        level: StockLevel,
        kind: str,
        on_hand_delta: int,
        reserved_delta: int,
        reason: str,
        *,
        origin: Origin | None = None,
        reservation_id: str | None = None,
        reverses_version: int | None = None,
    ) -> StockLevel:
        """Record a movement and return the level after it. No other function changes balances."""
        origin = origin or self.origin
        on_hand = level.on_hand + on_hand_delta
        reserved = level.reserved + reserved_delta
        if not 0 <= reserved <= on_hand:
            message = "A rule let a movement through that would oversell."
            raise InternalFault(message)
        if on_hand > MAX_UNITS:
            message = f"A level holds at most {MAX_UNITS} units."
            raise FieldInvalid(message, fields=(FieldViolation("delta", message),))
        at = max(self.unit_of_work.now, level.updated_at)  # the ledger's times never fall, whatever the clock does
        part_id, location_id, version = level.part_id, level.location_id, level.version + 1
        after = StockLevel(
            part_id,
            location_id,
            on_hand,
            reserved,
            level.reorder_point,
            version,
            at,
            origin.actor_id,
            origin.actor_name,
            level.archived_at,
        )
        self.levels[part_id, location_id] = after
        self.movements.append(
            Movement(
                part_id,
                location_id,
                version,
                kind,
                on_hand_delta,
                reserved_delta,
                on_hand,
                reserved,
                origin,
                reason,
                at,
                reservation_id,
                reverses_version,
            )
        )
        return after

    def change_reservation(self, after: Reservation, origin: Origin | None = None) -> Reservation:
        """Record a created or changed reservation."""
        before = self.reservation(after.reservation_id)
        known = self.reservations.get(after.reservation_id)
        self.reservations[after.reservation_id] = Change(
            known.before if known else before, after, origin or self.origin
        )
        return after

    def open_reservations(self, guest: str) -> int:
        """Return the number of open reservations of a cart or address, with the changes of this request."""
        changed = sum(sign for sign, item in self._guest_changes() if guest in guests_of(item))
        return self.unit_of_work.open_reservations.get(guest, 0) + changed

    def held_units(self, guest: str, key: LevelKey) -> int:
        """Return the units of a level that a cart or address has reserved, with the changes of this request."""
        changed = sum(
            sign * line.quantity
            for sign, item in self._guest_changes()
            if guest in guests_of(item)
            for line in item.lines
            if line.key == key
        )
        return self.unit_of_work.held_units.get((guest, key), 0) + changed

    def _guest_changes(self) -> Iterator[tuple[int, Reservation]]:
        """Yield the open reservations of guests that this request ends (-1) and makes (1)."""
        for reservation_id, change in self.reservations.items():
            before = self.unit_of_work.reservations.get(reservation_id)
            if before is not None and is_open_guest(before, self.now):
                yield -1, before
            if is_open_guest(change.after, self.now):
                yield 1, change.after

    def change_location(self, after: Location) -> Location:
        """Record a created or changed location."""
        self.locations[after.location_id] = Change(self.location(after.location_id), after, self.origin)
        return after

    def apply(self) -> None:
        """Apply the changes to the unit of work."""
        unit_of_work = self.unit_of_work
        for key, level in self.levels.items():
            unit_of_work.changed_levels.setdefault(key, unit_of_work.levels.get(key))
            unit_of_work.levels[key] = level
        unit_of_work.movements += self.movements
        if self.reservations:
            self._count_guests()
            _merge(unit_of_work.changed_reservations, self.reservations)
            unit_of_work.reservations.update({key: change.after for key, change in self.reservations.items()})
        if self.locations:
            _merge(unit_of_work.changed_locations, self.locations)
            unit_of_work.locations.update({key: change.after for key, change in self.locations.items()})

    def _count_guests(self) -> None:
        unit_of_work = self.unit_of_work
        for sign, item in self._guest_changes():
            for guest in guests_of(item):
                unit_of_work.open_reservations[guest] = unit_of_work.open_reservations.get(guest, 0) + sign
                for line in item.lines:
                    at = guest, line.key
                    unit_of_work.held_units[at] = unit_of_work.held_units.get(at, 0) + sign * line.quantity


def _merge(into: dict[str, Change[Thing]], changes: Mapping[str, Change[Thing]]) -> None:
    """Later changes keep the first state before: a transaction writes each row once."""
    for key, change in changes.items():
        known = into.get(key)
        into[key] = Change(known.before, change.after, change.origin) if known else change
