"""Requests as commands. The interceptors check the rules of single fields; this module checks those between fields."""

from __future__ import annotations

import ipaddress
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING

from changelog.if_match import seen_versions
from changelog.visibility import PUBLIC, audience
from chassis.errors import FieldInvalid, FieldViolation
from inventory_svc.convert.responses import KINDS
from inventory_svc.domain import commands
from inventory_svc.domain.reservation import Owner, ReservationLine
from inventory_svc.domain.stock import MAIN_LOCATION, MovementKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chassis.caller import Caller
    from inventory_svc.domain.guest_limits import GuestLimits
    from inventory_svc.domain.stock import LevelKey, Movement
    from partstream.inventory.v1 import stock_service_pb2 as messages

MANAGE = "reservations:manage"  # permission to act on the reservations of others
DEFAULT_HOLD = timedelta(minutes=15)
_KIND_NAMES: dict[int, MovementKind] = {value: MovementKind(name) for name, value in KINDS.items()}


def key(part_id: str, location_id: str) -> LevelKey:
    """Return the key of a level; an empty location is `main`."""
    return part_id, location_id or MAIN_LOCATION


def set_stock(request: messages.SetStockRequest) -> commands.SetStock:
    """Return the command; `unconditional` excludes an expected version."""
    expected = request.expected_version if request.HasField("expected_version") else None
    if expected is not None and request.unconditional:
        raise _invalid("unconditional", "excludes expected_version")
    if request.unconditional and request.HasField("if_match"):
        raise _invalid("unconditional", "excludes if_match")
    return commands.SetStock(
        key(request.part_id, request.location_id),
        request.on_hand,
        expected,
        request.unconditional,
        request.allow_missing,
        request.reason or "counted",
        seen_versions(request),
    )


def adjust_stock(
    request: messages.AdjustStockRequest | messages.StockAdjustment, default_reason: str = "", path: str = ""
) -> commands.AdjustStock:
    """Return the command; ``path`` is the prefix of the fields in violations."""
    kind = _KIND_NAMES.get(request.kind, MovementKind.ADJUSTED)
    reason = request.reason or default_reason
    if kind is MovementKind.ADJUSTED:
        if not reason:
            raise _invalid(f"{path}reason", "is required for an adjustment")
    elif (request.delta > 0) is not (kind is MovementKind.RECEIVED):
        raise _invalid(f"{path}delta", "must be positive for `received` and negative for `shipped`")
    return commands.AdjustStock(
        (request.part_id, request.location_id or MAIN_LOCATION),
        request.delta,
        kind,
        reason,
        request.expected_version if request.HasField("expected_version") else None,
    )


def batch_adjust(request: messages.BatchAdjustStockRequest) -> commands.BatchAdjust:
    """Return the command with its adjustments in order."""
    adjustments = []
    for position, item in enumerate(request.adjustments):
        command = adjust_stock(item, request.reason, f"adjustments[{position}].")
        if item.HasField("expected_on_hand"):
            command.expected_on_hand = item.expected_on_hand
        command.allow_missing = item.allow_missing
        adjustments.append(command)
    return commands.BatchAdjust(adjustments, request.atomic)


def transfer_stock(request: messages.TransferStockRequest) -> commands.TransferStock:
    """Return the command."""
    return commands.TransferStock(
        request.part_id,
        request.from_location_id or MAIN_LOCATION,
        request.to_location_id,
        request.quantity,
        request.expected_version if request.HasField("expected_version") else None,
        request.reason or "transfer",
    )


def archive_stock(request: messages.ArchiveStockRequest) -> commands.ArchiveStock:
    """Return the command."""
    return commands.ArchiveStock(
        key(request.part_id, request.location_id),
        request.expected_version if request.HasField("expected_version") else None,
        request.reason,
        seen_versions(request),
    )


def restore_stock(request: messages.RestoreStockRequest) -> commands.RestoreStock:
    """Return the command."""
    return commands.RestoreStock(
        key(request.part_id, request.location_id),
        request.expected_version if request.HasField("expected_version") else None,
        request.reason,
        seen_versions(request),
    )


def set_reorder_point(request: messages.SetReorderPointRequest) -> commands.SetReorderPoint:
    """Return the command."""
    return commands.SetReorderPoint(
        key(request.part_id, request.location_id),
        request.reorder_point,
        request.expected_version if request.HasField("expected_version") else None,
        seen_versions(request),
    )


def reverse_movement(request: messages.ReverseMovementRequest, movement: Movement) -> commands.ReverseMovement:
    """Return the command that reverses a movement."""
    return commands.ReverseMovement(movement, request.reason)


def is_public(caller: Caller) -> bool:
    """Return whether the caller may read published parts only."""
    return audience(caller, "inventory") == PUBLIC


def owner(caller: Caller, owner_key: str) -> Owner:
    """Return the owner of a reservation: the signed-in caller, else the cart of a guest."""
    return Owner.of_cart(owner_key) if caller.is_anonymous else Owner(caller.user_id, is_user=True)


def guest_network(address: str) -> str:
    """Return the network that counts as one guest: an IPv4 address, or the /64 network of an IPv6 address.

    Guests without a known address count as one.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((int(parsed) >> 64 << 64, 64)))
    return str(parsed)


def create_reservation(
    request: messages.CreateReservationRequest, caller: Caller, guest_limits: GuestLimits
) -> commands.CreateReservation:
    """Return the command, with limits for a guest. Raise ``FieldInvalid`` for a guest without a key."""
    lines = [ReservationLine(line.part_id, line.location_id, line.quantity) for line in request.lines]
    limits = guest_limits if caller.is_anonymous else None
    ttl = request.ttl.ToTimedelta() if request.HasField("ttl") else DEFAULT_HOLD
    if limits is not None:
        if not request.owner_key:
            raise _invalid("owner_key", "is required without an account")
        ttl = ttl if request.HasField("ttl") else min(ttl, limits.ttl)
        limits.check_ttl(ttl)
        limits.check_lines(lines)
    return commands.CreateReservation(
        str(uuid.uuid4()),
        lines,
        ttl,
        owner(caller, request.owner_key),
        request.order_reference,
        normal_id(request.replaces_reservation_id) or None,
        caller.may(MANAGE),
        guest_network(caller.client_ip) if limits else "",
        limits,
        only_published=is_public(caller),
    )


def extend_reservation(
    request: messages.ExtendReservationRequest, caller: Caller, guest_limits: GuestLimits
) -> commands.ExtendReservation:
    """Return the command, with limits for a guest."""
    limits = guest_limits if caller.is_anonymous else None
    ttl = request.ttl.ToTimedelta()
    if limits is not None:
        limits.check_ttl(ttl)
    return commands.ExtendReservation(
        normal_id(request.reservation_id),
        ttl,
        owner(caller, request.owner_key),
        caller.may(MANAGE),
        limits,
        only_published=is_public(caller),
    )


def commit_reservation(request: messages.CommitReservationRequest, caller: Caller) -> commands.CommitReservation:
    """Return the command."""
    return commands.CommitReservation(
        normal_id(request.reservation_id),
        owner(caller, request.owner_key),
        caller.may(MANAGE),
        only_published=is_public(caller),
    )


def release_reservation(request: messages.ReleaseReservationRequest, caller: Caller) -> commands.ReleaseReservation:
    """Return the command."""
    return commands.ReleaseReservation(
        normal_id(request.reservation_id), owner(caller, request.owner_key), caller.may(MANAGE)
    )


def normal_id(raw: str) -> str:
    """Return a UUID in its canonical form; empty stays empty."""
    return str(uuid.UUID(raw)) if raw else ""


def kinds(values: Iterable[int]) -> tuple[str, ...]:
    """Return kinds as stored, without the unspecified one."""
    return tuple(sorted({_KIND_NAMES[value].value for value in values if value in _KIND_NAMES}))


def _invalid(path: str, message: str) -> FieldInvalid:
    return FieldInvalid(f"{path} {message}", fields=(FieldViolation(path, message),))
