"""Movements, which are rows of the ledger, and past levels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, cast

import msgspec

from edge.views.stock import Level, level_view
from edge.views.values import rfc3339
from partstream.inventory.v1 import movement_pb2

if TYPE_CHECKING:
    from partstream.inventory.v1 import stock_service_pb2

KindName = Literal[
    "received",
    "adjusted",
    "counted",
    "reserved",
    "released",
    "shipped",
    "transferred_in",
    "transferred_out",
    "reversed",
]
AdjustmentKind = Literal["received", "adjusted", "shipped"]
_PREFIX: Final = "MOVEMENT_KIND_"


class Movement(msgspec.Struct):
    """One accepted change of a level: its deltas, the balance after it, who made it and why."""

    part_id: str
    location_id: str
    version: int
    kind: KindName
    on_hand_delta: int
    reserved_delta: int
    on_hand_after: int
    reserved_after: int
    actor: str | None
    source: str
    client_ip: str
    reason: str
    request_id: str
    reservation_id: str | None
    reverses_version: int | None
    occurred_at: str | None


class MovementList(msgspec.Struct):
    """A page of movements, newest first."""

    items: list[Movement]
    next_page_token: str


class PastLevel(msgspec.Struct):
    """A level at a point in time; zeros and no movement before its first movement."""

    part_id: str
    location_id: str
    at: str
    on_hand: int
    reserved: int
    available: int
    version: int
    movement: Movement | None


class Reversal(msgspec.Struct):
    """The level after a reversal and the compensating movement."""

    level: Level
    movement: Movement


def kind_number(name: KindName) -> movement_pb2.MovementKind.ValueType:
    """Return the enum value of a kind."""
    return movement_pb2.MovementKind.Value(_PREFIX + name.upper())


def movement_view(movement: movement_pb2.StockMovement) -> Movement:
    """Return the view of a movement."""
    kind = movement_pb2.MovementKind.Name(movement.kind).removeprefix(_PREFIX).lower()
    origin = movement.origin
    return Movement(
        part_id=movement.part_id,
        location_id=movement.location_id,
        version=movement.version,
        kind=cast("KindName", kind),
        on_hand_delta=movement.on_hand_delta,
        reserved_delta=movement.reserved_delta,
        on_hand_after=movement.on_hand_after,
        reserved_after=movement.reserved_after,
        actor=origin.actor.username or None,
        source=origin.source,
        client_ip=origin.client_ip,
        reason=origin.reason,
        request_id=origin.request_id,
        reservation_id=movement.reservation_id or None,
        reverses_version=movement.reverses_version or None,
        occurred_at=rfc3339(movement.occur_time),
    )


def past_level(
    part_id: str, location_id: str, at: str, response: stock_service_pb2.GetStockAtTimeResponse
) -> PastLevel:
    """Return the balance after the last movement up to a point in time."""
    if not response.HasField("movement"):
        return PastLevel(part_id, location_id, at, 0, 0, 0, 0, None)
    last = response.movement
    available = last.on_hand_after - last.reserved_after
    return PastLevel(
        part_id,
        last.location_id,
        at,
        last.on_hand_after,
        last.reserved_after,
        available,
        last.version,
        movement_view(last),
    )


def reversal_view(response: stock_service_pb2.ReverseMovementResponse) -> Reversal:
    """Return the view of a reversal."""
    return Reversal(level_view(response.level), movement_view(response.movement))
