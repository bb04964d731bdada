"""Reservations: stock held for a cart."""

from __future__ import annotations

from typing import Final, Literal, cast

import msgspec

from edge.views.values import rfc3339
from partstream.inventory.v1 import reservation_pb2

StateName = Literal["held", "committed", "released", "expired"]
_PREFIX: Final = "RESERVATION_STATE_"


class ReservationLine(msgspec.Struct):
    """Units of one part at one location."""

    part_id: str
    quantity: int
    location_id: str


class Reservation(msgspec.Struct):
    """A hold on stock. It ends by itself at ``expires_at`` unless committed or released before."""

    reservation_id: str
    state: StateName
    expires_at: str | None
    lines: list[ReservationLine]
    order_reference: str | None
    created_at: str | None


class ReservationList(msgspec.Struct):
    """A page of reservations, newest first."""

    items: list[Reservation]
    next_page_token: str


def state_number(name: StateName | None) -> reservation_pb2.ReservationState.ValueType:
    """Return the enum value of a state; unspecified, which selects all states, without one."""
    return reservation_pb2.ReservationState.Value(f"{_PREFIX}{name.upper() if name else 'UNSPECIFIED'}")


def reservation_view(reservation: reservation_pb2.Reservation) -> Reservation:
    """Return the view of a reservation."""
    state = reservation_pb2.ReservationState.Name(reservation.state).removeprefix(_PREFIX).lower()
    return Reservation(
        reservation_id=reservation.reservation_id,
        state=cast("StateName", state),
        expires_at=rfc3339(reservation.expire_time),
        lines=[ReservationLine(line.part_id, line.quantity, line.location_id) for line in reservation.lines],
        order_reference=reservation.order_reference or None,
        created_at=rfc3339(reservation.create_time),
    )
