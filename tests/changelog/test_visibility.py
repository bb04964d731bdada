"""Every field has a group, and permissions decide which groups a caller may read."""

from __future__ import annotations

import pytest
from google.protobuf.descriptor_pool import Default

from changelog.visibility import AUDIENCES, FIELDS, PUBLIC, Group, audience, hidden_fields, redact
from chassis.caller import ANONYMOUS, Caller
from chassis.tokens import SERVICE_PERMISSIONS
from partstream.changes.v1 import origin_pb2
from partstream.content.v1 import part_change_pb2, part_pb2
from partstream.inventory.v1 import movement_pb2, stock_change_pb2, stock_pb2

# The messages of the table are known once their modules are loaded.
MODULES = (movement_pb2, origin_pb2, part_change_pb2, part_pb2, stock_change_pb2, stock_pb2)


@pytest.mark.parametrize("message", FIELDS)
def test_every_field_of_a_message_has_a_group(message: str) -> None:
    declared = {field.name for field in Default().FindMessageTypeByName(message).fields}

    assert FIELDS[message].keys() == declared


def caller(*permissions: str) -> Caller:
    return Caller("1", "ann", permissions=frozenset(permissions))


@pytest.mark.parametrize(
    ("held", "inventory", "content"),
    [
        ((), "public", "public"),
        (("changes:read",), "public", "public"),
        (("stock:read",), "reader", "public"),
        (("content:read",), "public", "reader"),
        (("stock:read", "changes:read"), "staff", "public"),
        (tuple(SERVICE_PERMISSIONS), "staff", "staff"),
    ],
)
def test_permissions_decide_the_audience(held: tuple[str, ...], inventory: str, content: str) -> None:
    known = caller(*held)

    assert (audience(known, "inventory"), audience(known, "content")) == (inventory, content)


def test_an_anonymous_caller_is_the_public() -> None:
    assert audience(ANONYMOUS, "inventory") == PUBLIC


def test_hidden_fields_are_cleared_at_any_depth() -> None:
    level = stock_pb2.StockLevel(part_id="a", location_id="main", on_hand=5, reserved=1, available=4, version=3)
    change = stock_change_pb2.StockChange(
        revision=9,
        part_id="a",
        location_id="main",
        after=level,
        movements=[movement_pb2.StockMovement(on_hand_delta=5, origin=origin_pb2.Origin(reason="x", client_ip="::1"))],
        origin=origin_pb2.Origin(reason="x", client_ip="::1"),
    )
    read = stock_change_pb2.StockChange.FromString(change.SerializeToString())

    redact(read, AUDIENCES["reader"])
    redact(change, AUDIENCES["public"])

    assert read.after == level
    assert read.movements[0].origin == origin_pb2.Origin(reason="x")
    assert not read.HasField("origin")
    assert change == stock_change_pb2.StockChange(revision=9, part_id="a")


def test_hidden_fields_follow_from_the_same_table() -> None:
    assert hidden_fields("partstream.content.v1.Part", AUDIENCES["public"]) == {
        *("cost", "updated_by", "description_sanitised")
    }
    assert hidden_fields("partstream.content.v1.Part", frozenset(Group)) == frozenset()
