"""Reservations: stock held for somebody for a time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from inventory_svc.domain.stock import LevelKey


class ReservationState(StrEnum):
    """``held`` moves to exactly one of the others."""

    HELD = "held"
    COMMITTED = "committed"
    RELEASED = "released"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Owner:
    """Who may act on a reservation: a signed-in user, or whoever brings the key of an anonymous cart."""

    key: str
    is_user: bool


@dataclass(frozen=True, slots=True)
class ReservationLine:
    """Units held of one level. ``location_id`` is empty only in a wish: the best location is then chosen."""

    part_id: str
    location_id: str
    quantity: int

    @property
    def key(self) -> LevelKey:
        """The level that holds the units."""
        return (self.part_id, self.location_id)


@dataclass(frozen=True, slots=True)
class Reservation:
    """A hold and what became of it."""

    reservation_id: str
    state: ReservationState
    owner: Owner
    order_reference: str
    lines: tuple[ReservationLine, ...]
    created_at: datetime
    expires_at: datetime
