"""Encoding of a level's change as the bytes of its ``StockChange``, directly from the JSON of the log.

Nearly all entries of the log are changes of levels, and every process serialises each of them.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from changelog.visibility import AUDIENCES, PUBLIC, Group
from changelog.wire import actor, origin, sized, timestamp, varint
from inventory_svc.convert.responses import KINDS
from partstream.changes.v1 import origin_pb2

if TYPE_CHECKING:
    from changelog.log_entry import LogEntry

_KINDS = {name: b"\x20" + varint(value) for name, value in KINDS.items()}
_OPERATIONS = {
    "created": b"\x28" + varint(origin_pb2.OPERATION_CREATED),
    "updated": b"\x28" + varint(origin_pb2.OPERATION_UPDATED),
    "deleted": b"\x28" + varint(origin_pb2.OPERATION_DELETED),
}
_ENTITY = b"\x62" + sized("stock_level")
_ENTITY_ID = _ENTITY + b"\x6a"
_IN_STOCK = b"\x30\x01"
_LOW_STOCK = b"\x38\x01"


class _Level(msgspec.Struct, gc=False):
    """A level in the JSON of the log, without its key, which is the key of the entry."""

    on_hand: int
    reserved: int
    reorder_point: int
    version: int
    updated_at: datetime
    last_updated_by: str
    last_updated_by_name: str
    archived_at: datetime | None


class _Movement(msgspec.Struct, gc=False):
    """A movement in the JSON of the log, without the key of its level."""

    version: int
    kind: str
    on_hand_delta: int
    reserved_delta: int
    on_hand_after: int
    reserved_after: int
    actor: str
    actor_name: str
    source: str
    client_ip: str
    request_id: str
    reason: str
    reservation_id: str | None
    occurred_at: datetime
    reverses_version: int | None


class _Details(msgspec.Struct):
    movements: list[_Movement]


_read_level = msgspec.json.Decoder(_Level).decode
_read_details = msgspec.json.Decoder(_Details).decode


def level_change(entry: LogEntry, audience: str) -> bytes:
    """Return the serialised change. The key is that of the entry: the key of a level never changes."""
    part_id, _, location_id = entry.entity_id.partition("/")
    if audience == PUBLIC:
        return _public_change(entry, part_id)
    with_origin = Group.ORIGIN in AUDIENCES[audience]
    part, location = sized(part_id), sized(location_id)
    key = b"\x0a" + part + b"\x12" + location
    chunks = [b"\x08", varint(entry.revision), b"\x12", part, b"\x1a", location]
    chunks += (b"\x20", varint(entry.version), _OPERATIONS[entry.operation])
    if entry.before_json is not None:
        before = _level(key, _read_level(entry.before_json))
        chunks += (b"\x32", varint(len(before)), before)
    if entry.after_json is not None:
        after = _level(key, _read_level(entry.after_json))
        chunks += (b"\x3a", varint(len(after)), after)
    if entry.details_json is not None:
        for movement in _read_details(entry.details_json).movements:
            moved = _movement(key, movement, with_origin)
            chunks += (b"\x42", varint(len(moved)), moved)
    if with_origin:
        chunks.append(
            origin(
                b"\x4a", entry.actor, entry.actor_name, entry.source, entry.reason, entry.client_ip, entry.request_id
            )
        )
    chunks += (b"\x52", timestamp(entry.committed_at))
    if entry.traceparent:
        chunks += (b"\x5a", sized(entry.traceparent))
    chunks += (_ENTITY_ID, sized(entry.entity_id))
    return b"".join(chunks)


def _public_change(entry: LogEntry, part_id: str) -> bytes:
    """Return a change without stock: an entry is of one location, and the public gets the sum over all locations.

    Every change is an update of that sum, also the creation of a level.
    """
    head = (b"\x08", varint(entry.revision), b"\x12", sized(part_id), _OPERATIONS["updated"])
    return b"".join((*head, b"\x52", timestamp(entry.committed_at), _ENTITY))


def _level(key: bytes, row: _Level) -> bytes:
    on_hand, reserved, reorder_point = row.on_hand, row.reserved, row.reorder_point
    available = on_hand - reserved
    chunks = [key]
    if on_hand:
        chunks += (b"\x18", varint(on_hand))
    if reserved:
        chunks += (b"\x20", varint(reserved))
    if available > 0:
        chunks += (b"\x28", varint(available), _IN_STOCK)
    if available <= reorder_point:
        chunks.append(_LOW_STOCK)
    if reorder_point:
        chunks += (b"\x40", varint(reorder_point))
    chunks += (b"\x48", varint(row.version), b"\x52", timestamp(row.updated_at))
    chunks.append(actor(b"\x5a", row.last_updated_by, row.last_updated_by_name))
    if row.archived_at is not None:
        chunks += (b"\x62", timestamp(row.archived_at))
    return b"".join(chunks)


def _movement(key: bytes, row: _Movement, with_origin: bool) -> bytes:  # noqa: FBT001
    chunks = [key, b"\x18", varint(row.version), _KINDS[row.kind]]
    if row.on_hand_delta:
        chunks += (b"\x28", varint(row.on_hand_delta))
    if row.reserved_delta:
        chunks += (b"\x30", varint(row.reserved_delta))
    if row.on_hand_after:
        chunks += (b"\x38", varint(row.on_hand_after))
    if row.reserved_after:
        chunks += (b"\x40", varint(row.reserved_after))
    client_ip = row.client_ip if with_origin else ""
    chunks.append(origin(b"\x4a", row.actor, row.actor_name, row.source, row.reason, client_ip, row.request_id))
    if row.reservation_id:
        chunks += (b"\x52", sized(row.reservation_id))
    chunks += (b"\x5a", timestamp(row.occurred_at))
    if row.reverses_version:
        chunks += (b"\x60", varint(row.reverses_version))
    return b"".join(chunks)
