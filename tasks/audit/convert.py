"""Convert change-log entries to rows of the audit trail. Pure functions, without a database."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from partstream.changes.v1 import origin_pb2
from partstream.content.v1 import part_service_pb2
from partstream.inventory.v1 import movement_pb2, stock_service_pb2
from tasks.audit.plain import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from google.protobuf.timestamp_pb2 import Timestamp

    from partstream.changes.v1.origin_pb2 import Origin
    from partstream.content.v1.part_change_pb2 import PartChange
    from partstream.inventory.v1.movement_pb2 import StockMovement
    from partstream.inventory.v1.stock_change_pb2 import StockChange

INVENTORY = "inventory"
CONTENT = "content"

_OPERATIONS = {
    origin_pb2.OPERATION_CREATED: "created",
    origin_pb2.OPERATION_UPDATED: "updated",
    origin_pb2.OPERATION_DELETED: "deleted",
}
_KINDS = {
    item.number: item.name.removeprefix("MOVEMENT_KIND_").lower()
    for item in movement_pb2.MovementKind.DESCRIPTOR.values
}
# Fields of a level that identify it, that a movement has itself, or that are computed from those.
_ACCOUNTED = frozenset(
    {"part_id", "location_id", "on_hand", "reserved", "version", "available", "in_stock", "low_stock", "update_time"}
)
# Fields that change with every write, or follow from others: they do not describe the change. The content log
# excludes the same fields, so that a watcher and the trail name the same fields.
_BOOKKEEPING = frozenset(
    {"version", "published_version", "create_time", "update_time", "updated_by", "last_updated_by", "category_path"}
)

State = dict[str, Any] | None

_json = msgspec.json.Encoder()


class Row(NamedTuple):
    """A row: the columns that come from the entry, in the order of ``store.INSERT``. JSON is text already."""

    revision: int
    ordinal: int
    entity: str
    entity_id: str
    part_id: str | None
    operation: str
    old: str | None
    new: str | None
    changed_fields: str
    details: str | None
    actor: str
    actor_id: str
    source: str
    client_ip: str
    request_id: str
    traceparent: str
    reason: str
    occurred_at: datetime


def rows_of(service: str, message: bytes) -> list[Row]:
    """Return the rows of a serialised watch response, oldest first.

    Raises ``ValueError`` for an unknown service and protobuf's ``DecodeError`` for bytes that are no response.
    """
    if service == INVENTORY:
        stock = stock_service_pb2.WatchStockResponse.FromString(message)
        return [row for change in stock.changes for row in _stock_rows(change)]
    if service == CONTENT:
        parts = part_service_pb2.WatchPartsResponse.FromString(message)
        return [_part_row(change) for change in parts.changes]
    problem = f"{service!r} is no service whose changes are audited"
    raise ValueError(problem)


def _stock_rows(change: StockChange) -> Iterator[Row]:
    """Return one row per movement; one row for an entry that has none (a location, a reservation, a reorder point)."""
    if change.movements:
        last = len(change.movements) - 1
        for ordinal, movement in enumerate(change.movements):
            yield _movement_row(change, movement, ordinal, is_last=ordinal == last)
        return
    if change.HasField("location"):
        old, new = _states(change.location)
    elif change.HasField("reservation"):
        old, new = _states(change.reservation)
    else:
        old, new = _states(change)
    yield _row(change, change.origin, (old, new))


def _movement_row(change: StockChange, movement: StockMovement, ordinal: int, *, is_last: bool) -> Row:
    old: dict[str, Any] | None = {
        "on_hand": movement.on_hand_after - movement.on_hand_delta,
        "reserved": movement.reserved_after - movement.reserved_delta,
        "version": movement.version - 1,
    }
    new: dict[str, Any] = {
        "on_hand": movement.on_hand_after,
        "reserved": movement.reserved_after,
        "version": movement.version,
    }
    if is_last:
        _add_other_fields(change, old or {}, new)
    created = movement.version == 1
    if created:
        old = None
    details: dict[str, Any] = {
        "kind": _KINDS.get(movement.kind, str(movement.kind)),
        "on_hand_delta": movement.on_hand_delta,
        "reserved_delta": movement.reserved_delta,
    }
    if movement.reservation_id:
        details["reservation_id"] = movement.reservation_id
    if movement.reverses_version:
        details["reverses_version"] = movement.reverses_version
    return _row(
        change,
        movement.origin if movement.HasField("origin") else change.origin,
        (old, new),
        ordinal=ordinal,
        operation=_movement_operation(change, created=created, is_last=is_last),
        details=details,
        occurred=movement.occur_time if movement.HasField("occur_time") else change.commit_time,
    )


def _movement_operation(change: StockChange, *, created: bool, is_last: bool) -> str:
    if created:
        return "created"
    return "deleted" if is_last and change.operation == origin_pb2.OPERATION_DELETED else "updated"


def _add_other_fields(change: StockChange, old: dict[str, Any], new: dict[str, Any]) -> None:
    """Return what changed with the last movement besides the balance: a reorder point, archiving."""
    before, after = plain(change.before), plain(change.after)  # of an absent state, the defaults
    for name, value in after.items():
        earlier = before[name]
        if value != earlier and name not in _ACCOUNTED and name not in _BOOKKEEPING:
            new[name] = value
            old[name] = earlier


def _part_row(change: PartChange) -> Row:
    old, new = _states(change.category if change.HasField("category") else change)
    return _row(change, change.origin, (old, new))


def _states(change: Any) -> tuple[State, State]:
    return (
        plain(change.before) if change.HasField("before") else None,
        plain(change.after) if change.HasField("after") else None,
    )


def _row(
    change: StockChange | PartChange,
    origin: Origin,
    states: tuple[State, State],
    *,
    ordinal: int = 0,
    operation: str | None = None,
    details: dict[str, Any] | None = None,
    occurred: Timestamp | None = None,
) -> Row:
    old, new = states
    return Row(
        revision=change.revision,
        ordinal=ordinal,
        entity=change.entity,
        entity_id=change.entity_id,
        part_id=change.part_id or None,
        operation=operation or _OPERATIONS[change.operation],
        old=_text(old),
        new=_text(new),
        changed_fields=",".join(changed_fields(old, new)),
        details=_text(details),
        actor=origin.actor.username,
        actor_id=origin.actor.user_id,
        source=origin.source,
        client_ip=origin.client_ip,
        request_id=origin.request_id,
        traceparent=change.traceparent,
        reason=origin.reason,
        occurred_at=_moment(occurred if occurred is not None else change.commit_time),
    )


def changed_fields(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> list[str]:
    """Return the sorted names of the fields that differ, without the version and the update time."""
    before, after = old or {}, new or {}
    names = (before.keys() | after.keys()) - _BOOKKEEPING
    return sorted(name for name in names if before.get(name) != after.get(name))


def _text(value: dict[str, Any] | None) -> str | None:
    return None if value is None else _json.encode(value).decode()


def _moment(time: Timestamp) -> datetime:
    # From whole seconds and microseconds, as in PostgreSQL: an entry always has the same timestamp.
    return datetime.fromtimestamp(time.seconds, UTC).replace(microsecond=time.nanos // 1000)
