"""The rules of reservations: all lines or none, one location per line, access by the owner only, expiry."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from chassis.errors import ResourceRef
from inventory_svc.domain.guest_limits import check_open, check_share
from inventory_svc.domain.reservation import Reservation, ReservationLine, ReservationState, is_open_guest
from inventory_svc.domain.reservation_expiry import end_reservation, expire_overdue, is_overdue
from inventory_svc.domain.stock import MovementKind
from inventory_svc.errors import InsufficientStock, PartArchived, PartNotFound, ReservationNotFound, ReservationNotHeld

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from inventory_svc.domain.commands import (
        CommitReservation,
        CreateReservation,
        ExpireOverdue,
        ExtendReservation,
        ReleaseReservation,
        TakeOverCart,
    )
    from inventory_svc.domain.reservation import Owner
    from inventory_svc.domain.unit_of_work import RequestChanges

MAX_LINES_IN_MESSAGE: Final = 3
MAX_LINE_BYTES: Final = 3_500  # of the lines in the metadata; a client accepts 8 KiB for the whole error


@dataclass(frozen=True, slots=True)
class _Shortage:
    """A line that cannot be reserved."""

    part_id: str
    location_id: str
    requested: int
    available: int


def create_reservation(changes: RequestChanges, command: CreateReservation) -> Reservation:
    """Return the new reservation, with a location chosen for every line."""
    limits, extensions = command.limits, 0
    if command.replaces:
        replaced = _end(
            changes, command.replaces, command.owner, ReservationState.RELEASED, any_owner=command.may_act_for_others
        )
        extensions = replaced.extensions + 1
    if limits is not None:
        limits.check_extensions(extensions)
        check_open(changes, limits, command.owner, command.opened_from)
    requested = _sum_lines(command.lines)
    if command.only_published:
        _require_published(changes, requested)
    lines, short = _allocate(changes, requested)
    if short and expire_overdue(changes, {item.part_id for item in short}):
        lines, short = _allocate(changes, requested)
    if short:
        raise _insufficient(short)
    if limits is not None:
        check_share(changes, limits, (command.owner.identifier, command.opened_from), lines)
    for line in lines:
        level = changes.level(line.key)
        if level is not None:
            changes.move(
                level,
                MovementKind.RESERVED,
                0,
                line.quantity,
                command.order_reference and f"order {command.order_reference}",
                reservation_id=command.reservation_id,
            )
    held = Reservation(
        command.reservation_id,
        ReservationState.HELD,
        command.owner,
        command.order_reference,
        tuple(lines),
        changes.now,
        changes.now + command.ttl,
        command.opened_from,
        extensions,
    )
    return changes.change_reservation(held)


def extend_reservation(changes: RequestChanges, command: ExtendReservation) -> Reservation:
    """Return the reservation with a new expiry, counted from now."""
    held = _held(changes, command.reservation_id, command.owner, any_owner=command.may_act_for_others)
    extensions = held.extensions + 1
    if command.limits is not None:
        command.limits.check_extensions(extensions)
    if command.only_published:
        _require_published(changes, held.lines)
    return changes.change_reservation(replace(held, expires_at=changes.now + command.ttl, extensions=extensions))


def commit_reservation(changes: RequestChanges, command: CommitReservation) -> Reservation:
    """Ship the reserved units; return the committed reservation."""
    if command.only_published:
        held = _held(changes, command.reservation_id, command.owner, any_owner=command.may_act_for_others)
        _require_published(changes, held.lines)
    return _end(
        changes, command.reservation_id, command.owner, ReservationState.COMMITTED, any_owner=command.may_act_for_others
    )


def release_reservation(changes: RequestChanges, command: ReleaseReservation) -> Reservation:
    """Make the reserved units available again; return the released reservation."""
    return _end(
        changes, command.reservation_id, command.owner, ReservationState.RELEASED, any_owner=command.may_act_for_others
    )


def take_over_cart(changes: RequestChanges, command: TakeOverCart) -> list[Reservation]:
    """Return the open reservations of the cart, now owned by the account."""
    taken = []
    for reservation_id in command.reservation_ids:
        held = changes.reservation(reservation_id)
        if held is not None and held.owner == command.cart and is_open_guest(held, changes.now):
            taken.append(changes.change_reservation(replace(held, owner=command.account)))
    return taken


def expire_all_overdue(changes: RequestChanges, _command: ExpireOverdue) -> list[Reservation]:
    """Return every overdue reservation that was locked, now expired."""
    return expire_overdue(changes)


def _end(
    changes: RequestChanges, reservation_id: str, owner: Owner, state: ReservationState, *, any_owner: bool
) -> Reservation:
    return end_reservation(changes, _held(changes, reservation_id, owner, any_owner=any_owner), state)


def require_owner(
    reservation: Reservation | None, reservation_id: str, owner: Owner, *, any_owner: bool
) -> Reservation:
    """Return the reservation of an owner. Another owner gets the error of a missing reservation."""
    if reservation is not None and (any_owner or (owner.identifier and reservation.owner == owner)):
        return reservation
    message = f"There is no reservation {reservation_id} of yours."
    raise ReservationNotFound(message, resource=ResourceRef("reservation", reservation_id))


def _held(changes: RequestChanges, reservation_id: str, owner: Owner, *, any_owner: bool) -> Reservation:
    found = require_owner(changes.reservation(reservation_id), reservation_id, owner, any_owner=any_owner)
    state = ReservationState.EXPIRED if is_overdue(found, changes.now) else found.state
    if state is not ReservationState.HELD:
        message = f"The reservation is no longer held: it is {state}."
        raise ReservationNotHeld(message, current=found, metadata={"state": state.value})
    return found


def _require_published(changes: RequestChanges, lines: Iterable[ReservationLine]) -> None:
    """Raise ``PartNotFound`` for an unpublished part: the public must not learn that it exists."""
    for line in lines:
        if line.part_id not in changes.unit_of_work.published:
            raise _no_stock(line)


def _no_stock(line: ReservationLine) -> PartNotFound:
    return PartNotFound(
        f"There is no stock of {line.part_id}" + (f" at {line.location_id}." if line.location_id else "."),
        metadata={"part_id": line.part_id},
        resource=ResourceRef("stock_level", "/".join(line.key).rstrip("/")),
    )


def _sum_lines(lines: Iterable[ReservationLine]) -> list[ReservationLine]:
    """Return one line per part and location. Lines with a location come first: the choice for others uses the rest."""
    sums: dict[tuple[str, str], int] = {}
    for line in lines:
        sums[line.key] = sums.get(line.key, 0) + line.quantity
    summed = [ReservationLine(part_id, location_id, quantity) for (part_id, location_id), quantity in sums.items()]
    return sorted(summed, key=lambda line: (not line.location_id, line.part_id, line.location_id))


def _allocate(
    changes: RequestChanges, requested: Sequence[ReservationLine]
) -> tuple[list[ReservationLine], list[_Shortage]]:
    """Return the lines with their locations, by part and location; and the lines without enough stock."""
    taken: dict[tuple[str, str], int] = {}
    short: list[_Shortage] = []
    for line in requested:
        location_id, available = _source(changes, line, taken)
        if available < line.quantity:
            short.append(_Shortage(line.part_id, location_id, line.quantity, available))
            continue
        key = (line.part_id, location_id)
        taken[key] = taken.get(key, 0) + line.quantity
    return [ReservationLine(*key, quantity) for key, quantity in sorted(taken.items())], short


def _source(changes: RequestChanges, line: ReservationLine, taken: dict[tuple[str, str], int]) -> tuple[str, int]:
    """Return the location of a line and the units available there; without a location, the one with most units."""
    levels = [level] if line.location_id and (level := changes.level(line.key)) else []
    if not line.location_id:
        levels = changes.levels_of(line.part_id)
    if not levels:
        raise _no_stock(line)
    live = [level for level in levels if level.archived_at is None]
    if not live:
        message = f"The stock of {line.part_id} is archived."
        raise PartArchived(message, metadata={"part_id": line.part_id}, resource=ResourceRef("part", line.part_id))
    best = max(live, key=lambda level: level.available_stock - taken.get(level.key, 0))
    return best.location_id, best.available_stock - taken.get(best.key, 0)


def _insufficient(short: Sequence[_Shortage]) -> InsufficientStock:
    """Return the error with the lines that lack stock; the numbers of the first one are also separate metadata.

    Lines that do not fit into the error are counted as ``left_out``.
    """
    first = short[0]
    lines = _encoded(short)
    words = "; ".join(
        f"{item.requested} of {item.part_id} requested, {item.available} available"
        for item in short[:MAX_LINES_IN_MESSAGE]
    )
    left_out = {"left_out": str(len(short) - len(lines))} if len(short) > len(lines) else {}
    return InsufficientStock(
        f"There is not enough stock: {words}.",
        metadata={
            "part_id": first.part_id,
            "location_id": first.location_id,
            "requested": str(first.requested),
            "available": str(first.available),
            "lines": f"[{','.join(lines)}]",
            **left_out,
        },
    )


def _encoded(short: Sequence[_Shortage]) -> list[str]:
    """Return the first lines as JSON, as many as the metadata can hold."""
    room = MAX_LINE_BYTES
    encoded: list[str] = []
    for item in short:
        line = {
            "part_id": item.part_id,
            "location_id": item.location_id,
            "requested": item.requested,
            "available": item.available,
        }
        encoded.append(json.dumps(line, separators=(",", ":")))
        room -= len(encoded[-1]) + 1
        if room < 0:
            return encoded[:-1]
    return encoded
