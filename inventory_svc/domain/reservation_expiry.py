"""Ending holds: the movements that give reserved units back, whoever or whatever ends the hold."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chassis.errors import InternalFault
from inventory_svc.domain.reservation import Reservation, ReservationState
from inventory_svc.domain.stock import MovementKind, Origin

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from inventory_svc.domain.book import Draft

# Who ends a hold when time does: the service itself.
SERVICE_ORIGIN = Origin(actor_id="00000000-0000-0000-0000-000000000001", actor_name="inventory_svc")


def is_overdue(reservation: Reservation, now: datetime) -> bool:
    """Whether a hold's time is over though nobody has ended it yet."""
    return reservation.state is ReservationState.HELD and reservation.expires_at <= now


def expire_overdue(draft: Draft, part_ids: Collection[str] | None = None) -> list[Reservation]:
    """End the overdue holds that the book knows; only those with a line of these parts, when parts are given."""
    ended = []
    for reservation_id in tuple(draft.book.reservations):
        reservation = draft.reservation(reservation_id)
        if reservation is None or not is_overdue(reservation, draft.now):
            continue
        if part_ids is None or any(line.part_id in part_ids for line in reservation.lines):
            ended.append(end_hold(draft, reservation, ReservationState.EXPIRED, SERVICE_ORIGIN))
    return ended


def end_hold(
    draft: Draft, reservation: Reservation, state: ReservationState, origin: Origin | None = None
) -> Reservation:
    """Move every line: shipped when the hold is committed, else given back."""
    is_sale = state is ReservationState.COMMITTED
    kind = MovementKind.SHIPPED if is_sale else MovementKind.RELEASED
    for line in reservation.lines:
        level = draft.level(line.key)
        if level is None:
            message = "A held reservation has a line without a level."
            raise InternalFault(message)
        draft.move(
            level,
            kind,
            -line.quantity if is_sale else 0,
            -line.quantity,
            f"reservation {state}",
            origin=origin,
            reservation_id=reservation.reservation_id,
        )
    return draft.change_reservation(replace(reservation, state=state), origin)
