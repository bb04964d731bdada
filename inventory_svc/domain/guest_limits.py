"""Limits of the reservations of a guest's cart. Requests beyond a limit are rejected, never reduced."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from math import floor
from typing import TYPE_CHECKING

from chassis.errors import FieldInvalid, FieldViolation
from inventory_svc.errors import ReservationLimit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inventory_svc.domain.reservation import Owner, ReservationLine
    from inventory_svc.domain.unit_of_work import RequestChanges


@dataclass(frozen=True, slots=True)
class GuestLimits:
    """The limits of a cart without an account."""

    lines: int
    units_per_part: int
    ttl: timedelta
    extensions: int
    open_per_cart: int
    open_per_address: int
    share: float  # of the units of a part that are available, or already reserved by the cart or its address

    def check_ttl(self, ttl: timedelta) -> None:
        """Raise ``FieldInvalid`` for a time beyond the limit."""
        if ttl > self.ttl:
            message = f"must be at most {self.ttl.total_seconds():.0f} s without an account"
            raise FieldInvalid(f"The time {message}.", fields=(FieldViolation("ttl", message),))

    def check_lines(self, lines: Sequence[ReservationLine]) -> None:
        """Raise ``FieldInvalid`` for more lines, or units of a part, than the limits allow."""
        violations = []
        if len(lines) > self.lines:
            violations.append(FieldViolation("lines", f"must be at most {self.lines} without an account"))
        units: defaultdict[str, int] = defaultdict(int)
        for number, line in enumerate(lines):
            units[line.part_id] += line.quantity
            if units[line.part_id] > self.units_per_part:
                text = f"must be at most {self.units_per_part} of a part without an account"
                violations.append(FieldViolation(f"lines[{number}].quantity", text))
        if violations:
            text = "; ".join(f"{item.path} {item.message}" for item in violations[:3])
            raise FieldInvalid(text, fields=violations)

    def check_extensions(self, extensions: int) -> None:
        """Raise ``FieldInvalid`` when the expiry was moved more often than the limit allows."""
        if extensions > self.extensions:
            message = f"can be moved at most {self.extensions} times without an account"
            raise FieldInvalid(f"The end of the reservation {message}.", fields=(FieldViolation("ttl", message),))

    def counted_parts(self, lines: Sequence[ReservationLine]) -> list[str]:
        """Return the parts whose reserved units are counted: none when the share is not limited."""
        return sorted({line.part_id for line in lines}) if self.share < 1 else []


def check_open(changes: RequestChanges, limits: GuestLimits, owner: Owner, opened_from: str) -> None:
    """Raise ``ReservationLimit`` when the cart or its address has as many open reservations as it may."""
    for name, guest, allowed in (
        ("open_reservations_per_cart", owner.identifier, limits.open_per_cart),
        ("open_reservations_per_address", opened_from, limits.open_per_address),
    ):
        if guest and changes.open_reservations(guest) >= allowed:
            message = f"Only {allowed} reservations can be open at once: release one, or sign in."
            raise ReservationLimit(message, metadata={"limit": name, "allowed": str(allowed)})


def check_share(
    changes: RequestChanges, limits: GuestLimits, guests: Sequence[str], lines: Sequence[ReservationLine]
) -> None:
    """Raise ``ReservationLimit`` when the lines are too large a share of a part; one unit is always allowed.

    Units that the cart or its address has reserved count as available and as requested, so that many small ones
    do not exceed one large reservation.
    """
    if limits.share >= 1:
        return
    for part_id, wanted in _units_of(lines).items():
        if wanted == 1:
            continue
        levels = [level for level in changes.levels_of(part_id) if level.archived_at is None]
        available = sum(level.available_stock for level in levels)
        for guest in guests:
            held = sum(changes.held_units(guest, level.key) for level in levels)
            allowed = max(1, floor(limits.share * (available + held)))
            if held + wanted > allowed:
                message = f"Only {allowed} units of {part_id} can be reserved without an account."
                facts = {"limit": "reservation_share", "part_id": part_id, "allowed": str(allowed)}
                raise ReservationLimit(message, metadata={**facts, "requested": str(wanted), "held": str(held)})


def _units_of(lines: Sequence[ReservationLine]) -> Mapping[str, int]:
    units: defaultdict[str, int] = defaultdict(int)
    for line in lines:
        units[line.part_id] += line.quantity
    return units
