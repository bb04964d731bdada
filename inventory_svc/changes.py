"""Encoding of change log entries as ``StockChange``, once for each audience of watchers."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from changelog.visibility import AUDIENCES, PUBLIC, Group
from inventory_svc.convert.change_bytes import level_change
from inventory_svc.convert.responses import STATES, timestamp
from partstream.changes.v1 import origin_pb2
from partstream.inventory.v1 import reservation_pb2, stock_change_pb2, stock_pb2

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

    from changelog.log_entry import LogEntry

# Entries from before the keys of guests were hashed have the second one, with plain keys.
_OWNER_COLUMNS = ("owner", "owner_key")

_OPERATIONS = {
    "created": origin_pb2.OPERATION_CREATED,
    "updated": origin_pb2.OPERATION_UPDATED,
    "deleted": origin_pb2.OPERATION_DELETED,
}


def encode(entry: LogEntry, audience: str) -> bytes:
    """Return the serialised ``StockChange``; for the public, only that the stock of a part changed.

    The public gets no reservations and no locations: ``b""``.
    """
    if entry.entity == "stock_level":
        return level_change(entry, audience)
    if audience == PUBLIC:
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
    if Group.ORIGIN in AUDIENCES[audience]:
        change.origin.CopyFrom(_entry_origin(entry))
    _FILL[entry.entity](change, entry)
    return change.SerializeToString()


def watched_keys(entry: LogEntry) -> frozenset[str]:
    """Return the part ids that a filter of a watch is matched with: none for locations, all lines for reservations."""
    if entry.entity == "stock_level":
        return frozenset((entry.entity_id.partition("/")[0],))
    if entry.entity == "reservation":
        return frozenset(line["part_id"] for line in (entry.details or {}).get("lines", ()))
    return frozenset()


def shown_state(entity: str, row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of the log without the key of a guest's cart, or its hash."""
    if entity != "reservation" or row.get("owner_is_user"):
        return row
    return {name: "" if name in _OWNER_COLUMNS else value for name, value in row.items()}


def _entry_origin(entry: LogEntry) -> origin_pb2.Origin:
    return origin_pb2.Origin(
        actor=origin_pb2.Actor(user_id=entry.actor, username=entry.actor_name),
        source=entry.source,
        reason=entry.reason,
        client_ip=entry.client_ip,
        request_id=entry.request_id,
    )


def _fill_location(change: stock_change_pb2.StockChange, entry: LogEntry) -> None:
    change.location_id = entry.entity_id
    if entry.before is not None:
        change.location.before.CopyFrom(_location(entry.before))
    if entry.after is not None:
        change.location.after.CopyFrom(_location(entry.after))


def _fill_reservation(change: stock_change_pb2.StockChange, entry: LogEntry) -> None:
    lines = (entry.details or {}).get("lines", [])
    if entry.before is not None:
        change.reservation.before.CopyFrom(_reservation(entry.before, lines))
    if entry.after is not None:
        change.reservation.after.CopyFrom(_reservation(entry.after, lines))


_FILL = {"location": _fill_location, "reservation": _fill_reservation}


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
        owner=next((row[name] for name in _OWNER_COLUMNS if name in row), "") if row["owner_is_user"] else "",
        order_reference=row["order_reference"],
        create_time=_time(row["created_at"]),
    )


def _time(text: str) -> Timestamp:
    return timestamp(datetime.fromisoformat(text))
