"""The audit row of a change-log entry: old and new values, changed fields, actor, source and reason."""

from datetime import UTC, datetime
from itertools import pairwise

import msgspec
import pytest
from google.protobuf.message import DecodeError

from partstream.changes.v1 import origin_pb2
from partstream.content.v1 import part_change_pb2, part_pb2
from partstream.inventory.v1 import movement_pb2, reservation_pb2, stock_change_pb2, stock_pb2
from partstream.inventory.v1.stock_service_pb2 import WatchStockResponse
from tasks.audit.convert import Row, rows_of
from tests.tasks.entries import moment, origin, part_change, part_response, stock_change


def rows_of_stock(*changes: stock_change_pb2.StockChange) -> list[Row]:
    return rows_of("inventory", WatchStockResponse(changes=changes).SerializeToString())


def values(text: str | None) -> object:
    return None if text is None else msgspec.json.decode(text)


def test_a_row_has_the_stock_level_before_and_after_a_movement() -> None:
    [row] = rows_of_stock(stock_change(7))

    assert values(row.old) == {"on_hand": 10, "reserved": 0, "version": 70}
    assert values(row.new) == {"on_hand": 11, "reserved": 0, "version": 71}
    assert row.changed_fields == "on_hand"
    assert values(row.details) == {"kind": "adjusted", "on_hand_delta": 1, "reserved_delta": 0}
    assert (row.entity, row.entity_id, row.part_id, row.operation) == ("stock_level", "C1/main", "C1", "updated")


def test_actor_source_and_reason_come_from_the_movement() -> None:
    [row] = rows_of_stock(stock_change(7))

    assert (row.actor, row.actor_id) == ("admin", "5b0f6c0e-0000-4000-8000-000000000001")
    assert (row.source, row.client_ip) == ("service", "203.0.113.7")
    assert (row.request_id, row.reason) == ("9d4f7c1e-0000-4000-8000-000000000002", "movement 1")
    assert row.traceparent.startswith("00-0af7651916cd43dd8448eb211c80319c")
    assert row.occurred_at == moment(7)


def test_several_movements_of_one_entry_are_a_chain_of_rows() -> None:
    rows = rows_of_stock(stock_change(7, movements=3))

    assert [(row.revision, row.ordinal) for row in rows] == [(7, 0), (7, 1), (7, 2)]
    states = [(values(row.old), values(row.new)) for row in rows]
    assert [old["on_hand"] for old, _ in states] == [10, 11, 13]  # type: ignore[index]
    assert [new["on_hand"] for _, new in states] == [11, 13, 16]  # type: ignore[index]
    assert all(new == following for (_, new), (following, _) in pairwise(states))


def test_the_first_movement_of_a_level_has_no_old_values() -> None:
    change = stock_change(1)
    change.ClearField("before")
    change.operation = origin_pb2.OPERATION_CREATED
    change.movements[0].version = 1

    [row] = rows_of_stock(change)

    assert (row.old, row.operation) == (None, "created")
    assert row.changed_fields == "on_hand,reserved"


def test_what_changed_besides_the_balance_is_in_the_last_movement() -> None:
    change = stock_change(3, movements=2)
    change.after.archive_time.FromDatetime(datetime(2026, 11, 22, 12, 30, tzinfo=UTC))

    first, last = rows_of_stock(change)

    assert "archive_time" not in first.changed_fields
    assert last.changed_fields == "archive_time,on_hand"
    assert values(last.old)["archive_time"] is None  # type: ignore[index]
    assert values(last.new)["archive_time"] == "2026-11-22T12:30:00Z"  # type: ignore[index]


def test_an_entry_without_a_movement_is_one_row_of_states() -> None:
    change = stock_change(3, movements=0)
    change.after.reorder_point = 5

    [row] = rows_of_stock(change)

    assert (row.ordinal, row.changed_fields, row.details) == (0, "reorder_point", None)
    assert values(row.new)["reorder_point"] == 5  # type: ignore[index]


@pytest.mark.parametrize("kind", ["location", "reservation"])
def test_locations_and_reservations_are_rows_without_a_part(kind: str) -> None:
    change = stock_change_pb2.StockChange(
        revision=2, operation=origin_pb2.OPERATION_CREATED, entity=kind, entity_id="x", origin=origin()
    )
    if kind == "location":
        change.location.after.CopyFrom(stock_pb2.Location(location_id="x", name="X"))
    else:
        change.reservation.after.CopyFrom(reservation_pb2.Reservation(reservation_id="x"))

    [row] = rows_of_stock(change)

    assert (row.part_id, row.old, row.operation, row.entity) == (None, None, "created", kind)
    assert values(row.new)[f"{kind}_id"] == "x"  # type: ignore[index]


def test_a_part_is_a_row_of_whole_states_with_numbers_as_numbers() -> None:
    [row] = rows_of("content", part_response(part_change(4)))

    old, new = values(row.old), values(row.new)
    assert row.changed_fields == "title"
    assert (old["title"], new["title"]) == ("Old", "New")  # type: ignore[index]
    assert new["price"] == {"amount_minor": 1299, "currency": "EUR"}  # type: ignore[index]
    assert repr(new["specifications"]["Resistance"]) == "4700"  # type: ignore[index]
    assert new["specifications"]["Package"] == "0603"  # type: ignore[index]
    assert (new["status"], new["cost"]) == ("published", None)  # type: ignore[index]


def test_a_category_is_a_row() -> None:
    change = part_change_pb2.PartChange(
        revision=1, operation=origin_pb2.OPERATION_UPDATED, entity="category", entity_id="resistors"
    )
    change.category.before.CopyFrom(part_pb2.Category(category_id="resistors", name="R"))
    change.category.after.CopyFrom(part_pb2.Category(category_id="resistors", name="Resistors"))

    [row] = rows_of("content", part_response(change))

    assert (row.entity, row.part_id, row.changed_fields) == ("category", None, "name")


def test_every_kind_of_movement_has_a_name() -> None:
    for number in movement_pb2.MovementKind.values():
        change = stock_change(2)
        change.movements[0].kind = number

        assert values(rows_of_stock(change)[0].details)["kind"].islower()  # type: ignore[index]


def test_an_invalid_response_is_rejected() -> None:
    with pytest.raises(DecodeError):
        rows_of("inventory", b"\xff\xff\xff")
    with pytest.raises(ValueError, match="no service"):
        rows_of("billing", b"")
