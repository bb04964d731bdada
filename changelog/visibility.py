"""Field groups of the services' resources and changes, and the permissions that allow a caller to read them.

This is the only such table. Services clear the fields that a caller may not read before they send a message; the cache
and the live frames of the edge use the same groups. A test fails for a field without a group.

=========  =============================================================  =========================================
group      fields                                                         required permission
=========  =============================================================  =========================================
public     what the shop shows                                            none
staff      counts, locations, movements, reservations, drafts, editors    ``stock:read`` or ``content:read``
cost       the purchase price of a part                                   ``content:read``
origin     actor, client address and request of a change                  ``changes:read`` and the one above
=========  =============================================================  =========================================
"""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from partstream.content.v1 import part_pb2

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from google.protobuf.descriptor import FieldDescriptor
    from google.protobuf.message import Message

    from chassis.caller import Caller


class Group(StrEnum):
    """Fields that the same callers may read."""

    PUBLIC = "public"
    STAFF = "staff"
    COST = "cost"
    ORIGIN = "origin"


# Callers who may read the same groups, from fewest to most; the bytes encoded for one of them are shared by all.
PUBLIC: Final = "public"
READER: Final = "reader"
STAFF: Final = "staff"
AUDIENCES: Final[Mapping[str, frozenset[Group]]] = {
    PUBLIC: frozenset({Group.PUBLIC}),
    READER: frozenset({Group.PUBLIC, Group.STAFF, Group.COST}),
    STAFF: frozenset(Group),
}

# The permission that makes a caller a reader of a log, and the one that makes a reader staff.
READ_PERMISSIONS: Final[Mapping[str, str]] = {"inventory": "stock:read", "content": "content:read"}
ORIGIN_PERMISSION: Final = "changes:read"


def audience(caller: Caller, log: str) -> str:
    """Return the audience of a log that a caller belongs to."""
    if not caller.may(READ_PERMISSIONS[log]):
        return PUBLIC
    return STAFF if caller.may(ORIGIN_PERMISSION) else READER


def groups(caller: Caller, log: str) -> frozenset[Group]:
    """Return the groups of a log that a caller may read."""
    return AUDIENCES[audience(caller, log)]


def can_read(caller: Caller, log: str, group: Group) -> bool:
    """Whether a caller may read a group of a log."""
    return group in groups(caller, log)


# Fields by message and group. A message that is not listed is as visible as the field that holds it.
_NAMES: Final[Mapping[str, Mapping[Group, str]]] = {
    "partstream.inventory.v1.StockLevel": {
        Group.PUBLIC: "part_id available in_stock low_stock version",
        Group.STAFF: "location_id on_hand reserved reorder_point update_time last_updated_by archive_time",
    },
    "partstream.inventory.v1.PartStock": {
        Group.PUBLIC: "part_id available in_stock low_stock version",
        Group.STAFF: "on_hand reserved levels",
    },
    "partstream.inventory.v1.StockMovement": {
        Group.STAFF: (
            "part_id location_id version kind on_hand_delta reserved_delta on_hand_after reserved_after origin "
            "reservation_id occur_time reverses_version"
        ),
    },
    "partstream.inventory.v1.StockChange": {
        Group.PUBLIC: "revision part_id operation commit_time entity",
        Group.STAFF: "location_id version before after movements traceparent entity_id location reservation",
        Group.ORIGIN: "origin",
    },
    "partstream.content.v1.Part": {
        Group.PUBLIC: (
            "part_id category_id title summary description specifications images price price_breaks status version "
            "published_version mpn manufacturer datasheet_url create_time update_time delete_time category_path"
        ),
        Group.STAFF: "updated_by description_sanitised",
        Group.COST: "cost",
    },
    "partstream.content.v1.PartChange": {
        Group.PUBLIC: (
            "revision part_id version operation before after changed_fields commit_time entity entity_id category"
        ),
        Group.STAFF: "traceparent",
        Group.ORIGIN: "origin",
    },
    "partstream.changes.v1.Origin": {
        Group.PUBLIC: "actor source reason request_id",
        Group.ORIGIN: "client_ip",
    },
}
FIELDS: Final[Mapping[str, Mapping[str, Group]]] = {
    message: {name: group for group, names in by_group.items() for name in names.split()}
    for message, by_group in _NAMES.items()
}


@lru_cache(64)
def hidden_fields(message: str, allowed: frozenset[Group]) -> frozenset[str]:
    """Return the fields of a message, given by its full name, that are in none of the allowed groups."""
    return frozenset(name for name, group in FIELDS.get(message, {}).items() if group not in allowed)


def redact(message: Message, allowed: frozenset[Group]) -> None:
    """Clear, in place and at any depth, every field that is in none of the allowed groups."""
    if len(allowed) == len(Group):
        return
    hidden = hidden_fields(message.DESCRIPTOR.full_name, allowed)
    for field, value in message.ListFields():
        if field.name in hidden:
            message.ClearField(field.name)
        elif field.message_type is not None and field.message_type.full_name in FIELDS:
            for item in _items(field, value):
                redact(item, allowed)


def _items(field: FieldDescriptor, value: Any) -> Collection[Message]:
    return value if field.is_repeated else (value,)


def is_published(part: part_pb2.Part) -> bool:
    """Whether the part is visible to the public."""
    return part.status == part_pb2.PART_STATUS_PUBLISHED and not part.HasField("delete_time")
