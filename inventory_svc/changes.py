"""The inventory log as watchers see it: entries as ``StockChange``, each for staff and for everyone."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from inventory_svc.convert.answers import KINDS, STATES, timestamp
from partstream.changes.v1 import origin_pb2
from partstream.inventory.v1 import movement_pb2, reservation_pb2, stock_change_pb2, stock_pb2

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

    from chassis.changes.log_entry import LogEntry

STAFF = "staff"

_OPERATIONS = {
    "created": origin_pb2.OPERATION_CREATED,
    "updated": origin_pb2.OPERATION_UPDATED,
    "deleted": origin_pb2.OPERATION_DELETED,
}


def encode(entry: LogEntry, audience: str) -> bytes:
    """The serialised ``StockChange``; the public learns neither who nor why, and nothing of reservations.

    Knowing a reservation's identifier is what lets an anonymous buyer act on it, so that it must not be told around.
    """
    is_staff = audience == STAFF
    if entry.entity == "reservation" and not is_staff:
        return b""
    change = stock_change_pb2.StockChange(
        revision=entry.revision,
        version=entry.version,
        operation=_OPERATIONS[entry.operation],
        commit_time=timestamp(entry.committed_at),
        traceparent=entry.traceparent,
        entity=entry.entity,
        entity_id=entry.entity_id,
    )
    if is_staff:
        change.origin.CopyFrom(_entry_origin(entry))
    _FILL[entry.entity](change, entry, is_staff)
    return change.SerializeToString()


def watched_keys(entry: LogEntry) -> frozenset[str]:
    """The part ids that a watcher's filter is compared with: none for locations, every line's for reservations."""
    if entry.entity == "stock_level":
        return frozenset((entry.entity_id.partition("/")[0],))
    if entry.entity == "reservation":
        return frozenset(line["part_id"] for line in (entry.details or {}).get("lines", ()))
    return frozenset()


def _entry_origin(entry: LogEntry) -> origin_pb2.Origin:
    return origin_pb2.Origin(
        actor=origin_pb2.Actor(user_id=entry.actor, username=entry.actor_name),
        source=entry.source,
        reason=entry.reason,
        client_ip=entry.client_ip,
        request_id=entry.request_id,
    )


def _fill_level(change: stock_change_pb2.StockChange, entry: LogEntry, is_staff: bool) -> None:  # noqa: FBT001
    change.part_id, _, change.location_id = entry.entity_id.partition("/")
    if entry.before is not None:
        change.before.CopyFrom(_level(entry.before, is_staff))
    if entry.after is not None:
        change.after.CopyFrom(_level(entry.after, is_staff))
    change.movements.extend(_movement(item, is_staff) for item in (entry.details or {}).get("movements", ()))


def _fill_location(change: stock_change_pb2.StockChange, entry: LogEntry, _is_staff: bool) -> None:  # noqa: FBT001
    change.location_id = entry.entity_id
    if entry.before is not None:
        change.location.before.CopyFrom(_location(entry.before))
    if entry.after is not None:
        change.location.after.CopyFrom(_location(entry.after))


def _fill_reservation(change: stock_change_pb2.StockChange, entry: LogEntry, _is_staff: bool) -> None:  # noqa: FBT001
    lines = (entry.details or {}).get("lines", [])
    if entry.before is not None:
        change.reservation.before.CopyFrom(_reservation(entry.before, lines))
    if entry.after is not None:
        change.reservation.after.CopyFrom(_reservation(entry.after, lines))


_FILL = {"stock_level": _fill_level, "location": _fill_location, "reservation": _fill_reservation}


def _level(row: dict[str, Any], is_staff: bool) -> stock_pb2.StockLevel:  # noqa: FBT001
    available = row["on_hand"] - row["reserved"]
    return stock_pb2.StockLevel(
        part_id=row["part_id"],
        location_id=row["location_id"],
        on_hand=row["on_hand"],
        reserved=row["reserved"],
        available=available,
        in_stock=available > 0,
        low_stock=available <= row["reorder_point"],
        reorder_point=row["reorder_point"],
        version=row["version"],
        update_time=_time(row["updated_at"]),
        last_updated_by=origin_pb2.Actor(user_id=row["last_updated_by"], username=row["last_updated_by_name"])
        if is_staff
        else None,
        archive_time=_time(row["archived_at"]) if row["archived_at"] else None,
    )


def _movement(row: dict[str, Any], is_staff: bool) -> movement_pb2.StockMovement:  # noqa: FBT001
    return movement_pb2.StockMovement(
        part_id=row["part_id"],
        location_id=row["location_id"],
        version=row["version"],
        kind=KINDS[row["kind"]],
        on_hand_delta=row["on_hand_delta"],
        reserved_delta=row["reserved_delta"],
        on_hand_after=row["on_hand_after"],
        reserved_after=row["reserved_after"],
        origin=_movement_origin(row) if is_staff else None,
        reservation_id=(row["reservation_id"] or "") if is_staff else "",
        occur_time=_time(row["occurred_at"]),
        reverses_version=row["reverses_version"] or 0,
    )


def _movement_origin(row: dict[str, Any]) -> origin_pb2.Origin:
    return origin_pb2.Origin(
        actor=origin_pb2.Actor(user_id=row["actor"], username=row["actor_name"]),
        source=row["source"],
        reason=row["reason"],
        client_ip=row["client_ip"],
        request_id=row["request_id"],
    )


def _location(row: dict[str, Any]) -> stock_pb2.Location:
    return stock_pb2.Location(
        location_id=row["location_id"],
        name=row["name"],
        archive_time=_time(row["archived_at"]) if row["archived_at"] else None,
    )


def _reservation(row: dict[str, Any], lines: list[dict[str, Any]]) -> reservation_pb2.Reservation:
    return reservation_pb2.Reservation(
        reservation_id=row["reservation_id"],
        state=STATES[row["state"]],
        expire_time=_time(row["expires_at"]),
        lines=[
            reservation_pb2.ReservationLine(
                part_id=line["part_id"], location_id=line["location_id"], quantity=line["quantity"]
            )
            for line in lines
        ],
        owner=row["owner_key"],
        order_reference=row["order_reference"],
        create_time=_time(row["created_at"]),
    )


def _time(text: str) -> Timestamp:
    return timestamp(datetime.fromisoformat(text))
