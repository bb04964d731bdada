"""Domain objects as protobuf messages."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING

from google.protobuf.timestamp_pb2 import Timestamp

from changelog.visibility import redact
from inventory_svc.domain.reservation import Reservation
from inventory_svc.domain.stock import Location, StockLevel
from partstream.changes.v1 import origin_pb2
from partstream.inventory.v1 import movement_pb2, reservation_pb2, stock_pb2
from partstream.inventory.v1 import stock_service_pb2 as messages

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from google.protobuf.message import Message

    from changelog.visibility import Group
    from chassis.errors import PartstreamError
    from inventory_svc.domain.stock import Movement, PublicStock
    from inventory_svc.domain.stock_rules import ItemResult, Reversed, Transferred

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_SECONDS = 86_400

KINDS = {
    name.removeprefix("MOVEMENT_KIND_").lower(): value
    for name, value in movement_pb2.MovementKind.items()
    if value != movement_pb2.MOVEMENT_KIND_UNSPECIFIED
}
STATES = {
    name.removeprefix("RESERVATION_STATE_").lower(): value
    for name, value in reservation_pb2.ReservationState.items()
    if value != reservation_pb2.RESERVATION_STATE_UNSPECIFIED
}


def state_name(value: int) -> str:
    """Return the stored name of a state; empty for the unspecified one."""
    return next((name for name, number in STATES.items() if number == value), "")


def timestamp(time: datetime) -> Timestamp:
    """Return a timestamp of microsecond precision; ``FromDatetime`` takes five times as long."""
    since = time - _EPOCH
    return Timestamp(seconds=since.days * _DAY_SECONDS + since.seconds, nanos=since.microseconds * 1000)


def level(found: StockLevel) -> stock_pb2.StockLevel:
    """Return a level with all fields, for staff."""
    available = found.on_hand - found.reserved
    return stock_pb2.StockLevel(
        part_id=found.part_id,
        location_id=found.location_id,
        on_hand=found.on_hand,
        reserved=found.reserved,
        available=available,
        in_stock=available > 0,
        low_stock=available <= found.reorder_point,
        reorder_point=found.reorder_point,
        version=found.version,
        update_time=timestamp(found.updated_at),
        last_updated_by=origin_pb2.Actor(user_id=found.last_updated_by, username=found.last_updated_by_name),
        archive_time=timestamp(found.archived_at) if found.archived_at else None,
    )


def part_stocks(levels: Iterable[StockLevel], seen: frozenset[Group]) -> list[stock_pb2.PartStock]:
    """Return the stock of each part from levels in order of part. Archived levels are included, but not summed."""
    stocks = [_part_stock(part_id, list(own)) for part_id, own in groupby(levels, key=lambda item: item.part_id)]
    for stock in stocks:
        redact(stock, seen)
    return stocks


def public_level(found: PublicStock) -> stock_pb2.StockLevel:
    """Return the stock of a part over all its locations as a level without a location."""
    return stock_pb2.StockLevel(
        part_id=found.part_id,
        available=found.available,
        in_stock=found.available > 0,
        low_stock=found.low_stock,
        version=found.version,
    )


def _part_stock(part_id: str, levels: Sequence[StockLevel]) -> stock_pb2.PartStock:
    live = [item for item in levels if item.archived_at is None]
    on_hand = sum(item.on_hand for item in live)
    reserved = sum(item.reserved for item in live)
    return stock_pb2.PartStock(
        part_id=part_id,
        on_hand=on_hand,
        reserved=reserved,
        available=on_hand - reserved,
        in_stock=on_hand > reserved,
        low_stock=on_hand - reserved <= sum(item.reorder_point for item in live),
        version=sum(item.version for item in levels),
        levels=[level(item) for item in levels],
    )


def movement(moved: Movement, source: str = "service") -> movement_pb2.StockMovement:
    """Return a row of the ledger with its origin."""
    return movement_pb2.StockMovement(
        part_id=moved.part_id,
        location_id=moved.location_id,
        version=moved.version,
        kind=KINDS[moved.kind],
        on_hand_delta=moved.on_hand_delta,
        reserved_delta=moved.reserved_delta,
        on_hand_after=moved.on_hand_after,
        reserved_after=moved.reserved_after,
        origin=origin_pb2.Origin(
            actor=origin_pb2.Actor(user_id=moved.origin.actor_id, username=moved.origin.actor_name),
            source=source,
            reason=moved.reason,
            client_ip=moved.origin.client_ip,
            request_id=moved.origin.request_id,
        ),
        reservation_id=moved.reservation_id or "",
        occur_time=timestamp(moved.occurred_at),
        reverses_version=moved.reverses_version or 0,
    )


def reservation(found: Reservation) -> reservation_pb2.Reservation:
    """Return a reservation with its lines."""
    return reservation_pb2.Reservation(
        reservation_id=found.reservation_id,
        state=STATES[found.state],
        expire_time=timestamp(found.expires_at),
        lines=[
            reservation_pb2.ReservationLine(part_id=line.part_id, location_id=line.location_id, quantity=line.quantity)
            for line in found.lines
        ],
        owner=found.owner.identifier if found.owner.is_user else "",
        order_reference=found.order_reference,
        create_time=timestamp(found.created_at),
    )


def rejected_reservation(error: PartstreamError) -> messages.ReservationResult:
    """Return the result of a rejected reservation of a batch."""
    reported = messages.ReservationError(reason=error.reason, message=error.message, metadata=error.metadata)
    if error.retry_after_seconds is not None:
        reported.retry_delay.FromMilliseconds(round(error.retry_after_seconds * 1000))
    return messages.ReservationResult(error=reported)


def location(found: Location) -> stock_pb2.Location:
    """Return a location."""
    return stock_pb2.Location(
        location_id=found.location_id,
        name=found.name,
        archive_time=timestamp(found.archived_at) if found.archived_at else None,
    )


def item_result(result: ItemResult) -> messages.StockAdjustmentResult:
    """Return the result of an item of a batch: its level, or its error with the current level."""
    error = result.error
    if error is None:
        return messages.StockAdjustmentResult(level=level(result.level) if result.level else None)
    return messages.StockAdjustmentResult(
        error=messages.AdjustmentError(
            reason=error.reason,
            message=error.message,
            metadata=error.metadata,
            current=level(result.level) if result.level else None,
        )
    )


def batch_response(results: Sequence[ItemResult]) -> messages.BatchAdjustStockResponse:
    """Return the results of a batch in order."""
    return messages.BatchAdjustStockResponse(results=[item_result(item) for item in results])


def transfer_response(moved: Transferred) -> messages.TransferStockResponse:
    """Return both levels of a transfer."""
    return messages.TransferStockResponse(from_level=level(moved.from_level), to_level=level(moved.to_level))


def reversal_response(undone: Reversed) -> messages.ReverseMovementResponse:
    """Return the level after a reversal and its movement."""
    return messages.ReverseMovementResponse(level=level(undone.level), movement=movement(undone.movement))


def pack(current: object) -> Message | None:
    """Return the message of the current state that an error carries; ``None`` for other objects."""
    match current:
        case StockLevel():
            return level(current)
        case Reservation():
            return reservation(current)
        case Location():
            return location(current)
        case _:
            return None
