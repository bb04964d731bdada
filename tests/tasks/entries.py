"""Change-log entries as the services send them."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

from partstream.changes.v1 import origin_pb2
from partstream.content.v1 import part_change_pb2, part_pb2, part_service_pb2
from partstream.inventory.v1 import movement_pb2, stock_change_pb2, stock_pb2, stock_service_pb2
from tasks.audit.convert import rows_of
from tasks.audit.store import Batch

EPOCH = uuid.UUID("11111111-1111-4111-8111-111111111111")
NEXT_EPOCH = uuid.UUID("22222222-2222-4222-8222-222222222222")
BEGAN = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def origin(reason: str = "counted") -> origin_pb2.Origin:
    return origin_pb2.Origin(
        actor=origin_pb2.Actor(user_id="5b0f6c0e-0000-4000-8000-000000000001", username="admin"),
        source="service",
        reason=reason,
        client_ip="203.0.113.7",
        request_id="9d4f7c1e-0000-4000-8000-000000000002",
    )


def moment(revision: int, began: datetime = BEGAN) -> datetime:
    return began + timedelta(milliseconds=revision)


def stock_change(
    revision: int, *, part_id: str = "C1", movements: int = 1, began: datetime = BEGAN
) -> stock_change_pb2.StockChange:
    """The level goes from 10 to 10 + 1 + ... + ``movements``; its version is the revision times ten."""
    version = revision * 10
    change = stock_change_pb2.StockChange(
        revision=revision,
        part_id=part_id,
        location_id="main",
        version=version + movements,
        operation=origin_pb2.OPERATION_UPDATED,
        origin=origin(),
        entity="stock_level",
        entity_id=f"{part_id}/main",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )
    change.commit_time.FromDatetime(moment(revision, began))
    on_hand = 10
    change.before.CopyFrom(stock_pb2.StockLevel(part_id=part_id, location_id="main", on_hand=on_hand, version=version))
    for number in range(1, movements + 1):
        on_hand += number
        movement = movement_pb2.StockMovement(
            part_id=part_id,
            location_id="main",
            version=version + number,
            kind=movement_pb2.MOVEMENT_KIND_ADJUSTED,
            on_hand_delta=number,
            on_hand_after=on_hand,
            origin=origin(f"movement {number}"),
        )
        movement.occur_time.FromDatetime(moment(revision, began))
        change.movements.append(movement)
    change.after.CopyFrom(
        stock_pb2.StockLevel(part_id=part_id, location_id="main", on_hand=on_hand, version=version + movements)
    )
    return change


def part_change(
    revision: int, *, part_id: str = "C1", title: tuple[str, str] = ("Old", "New")
) -> part_change_pb2.PartChange:
    change = part_change_pb2.PartChange(
        revision=revision,
        part_id=part_id,
        version=2,
        operation=origin_pb2.OPERATION_UPDATED,
        before=part_pb2.Part(part_id=part_id, title=title[0], version=1, status=part_pb2.PART_STATUS_PUBLISHED),
        after=part_pb2.Part(part_id=part_id, title=title[1], version=2, status=part_pb2.PART_STATUS_PUBLISHED),
        changed_fields=["title"],
        origin=origin("better title"),
        entity="part",
        entity_id=part_id,
    )
    for state in (change.before, change.after):
        state.published_version = state.version  # what everybody sees is always the newest version
        state.specifications.update({"Resistance": 4700, "Package": "0603"})
        state.price.amount_minor = 1299
        state.price.currency = "EUR"
    change.commit_time.FromDatetime(moment(revision))
    return change


def stock_response(first: int, last: int, *, movements: int = 1, began: datetime = BEGAN) -> bytes:
    changes = [stock_change(revision, movements=movements, began=began) for revision in range(first, last + 1)]
    return stock_service_pb2.WatchStockResponse(changes=changes).SerializeToString()


def part_response(*changes: part_change_pb2.PartChange) -> bytes:
    return part_service_pb2.WatchPartsResponse(changes=changes).SerializeToString()


def batch(first: int, last: int, *, epoch: uuid.UUID = EPOCH, movements: int = 1, began: datetime = BEGAN) -> Batch:
    rows = rows_of("inventory", stock_response(first, last, movements=movements, began=began))
    return Batch("inventory", epoch, first, last, rows)
