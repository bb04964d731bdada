"""Reservations: stock set aside for an owner until it expires."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from inventory_svc.domain.stock import LevelKey


class ReservationState(StrEnum):
    """State of a reservation; ``held`` changes to exactly one of the others."""

    HELD = "held"
    COMMITTED = "committed"
    RELEASED = "released"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Owner:
    """Owner of a reservation: an account by its user id, or a guest's cart by the hash of its secret key."""

    identifier: str
    is_user: bool

    @classmethod
    def of_cart(cls, owner_key: str) -> Owner:
        """Return the owner that a guest proves itself to be; without a key, one that owns nothing.

        A plain hash is enough: a key is made of at least 32 characters, not chosen to be remembered.
        """
        return cls(hashlib.sha256(owner_key.encode()).hexdigest() if owner_key else "", is_user=False)


@dataclass(frozen=True, slots=True)
class ReservationLine:
    """Reserved units of one level. An empty ``location_id`` occurs in requests only: the location is then chosen."""

    part_id: str
    location_id: str
    quantity: int

    @property
    def key(self) -> LevelKey:
        """Return the key of the level."""
        return (self.part_id, self.location_id)


@dataclass(frozen=True, slots=True)
class Reservation:
    """A reservation and its state."""

    reservation_id: str
    state: ReservationState
    owner: Owner
    order_reference: str
    lines: tuple[ReservationLine, ...]
    created_at: datetime
    expires_at: datetime
    opened_from: str = ""  # network address of the guest who created it
    extensions: int = 0  # how often its expiry was moved, by an extension or by a replacement


def is_open_guest(reservation: Reservation, now: datetime) -> bool:
    """Return whether a reservation belongs to a guest and still reserves stock."""
    is_held = reservation.state is ReservationState.HELD and reservation.expires_at > now
    return is_held and not reservation.owner.is_user


def guests_of(reservation: Reservation) -> tuple[str, ...]:
    """Return the cart and the address that a guest's reservation counts for."""
    return tuple(guest for guest in (reservation.owner.identifier, reservation.opened_from) if guest)
