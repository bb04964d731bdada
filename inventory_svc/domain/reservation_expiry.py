"""Ends reservations: the movements that ship or release their units, for every way of ending."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chassis.errors import InternalFault
from inventory_svc.domain.reservation import Reservation, ReservationState
from inventory_svc.domain.stock import MovementKind, Origin

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from inventory_svc.domain.unit_of_work import RequestChanges

# The actor of an expiry: the service itself.
SERVICE_ORIGIN = Origin(actor_id="00000000-0000-0000-0000-000000000001", actor_name="inventory_svc")


def is_overdue(reservation: Reservation, now: datetime) -> bool:
    """Return whether a reservation has expired, but its units are not released yet."""
    return reservation.state is ReservationState.HELD and reservation.expires_at <= now


def expire_overdue(changes: RequestChanges, part_ids: Collection[str] | None = None) -> list[Reservation]:
    """Expire the overdue reservations that were read; only those with a line of these parts, when given."""
    ended = []
    for reservation_id in tuple(changes.unit_of_work.reservations):
        reservation = changes.reservation(reservation_id)
        if reservation is None or not is_overdue(reservation, changes.now):
            continue
        if part_ids is None or any(line.part_id in part_ids for line in reservation.lines):
            ended.append(end_reservation(changes, reservation, ReservationState.EXPIRED, SERVICE_ORIGIN))
    return ended


def end_reservation(
    changes: RequestChanges, reservation: Reservation, state: ReservationState, origin: Origin | None = None
) -> Reservation:
    """Record a movement for every line: shipped when the reservation is committed, else released."""
    is_sale = state is ReservationState.COMMITTED
    kind = MovementKind.SHIPPED if is_sale else MovementKind.RELEASED
    for line in reservation.lines:
        level = changes.level(line.key)
        if level is None:
            message = "A held reservation has a line without a level."
            raise InternalFault(message)
        changes.move(
            level,
            kind,
            -line.quantity if is_sale else 0,
            -line.quantity,
            f"reservation {state}",
            origin=origin,
            reservation_id=reservation.reservation_id,
        )
    return changes.change_reservation(replace(reservation, state=state), origin)
