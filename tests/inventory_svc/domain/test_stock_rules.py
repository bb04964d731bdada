"""Rules of single levels, one behaviour per test."""

from __future__ import annotations

import pytest

from chassis.errors import BatchAborted, ConcurrencyError, FieldInvalid, IllegalState, VersionConflict, VersionRequired
from inventory_svc.domain import commands
from inventory_svc.domain.stock import MAX_UNITS, MovementKind, StockLevel
from inventory_svc.errors import (
    InsufficientStock,
    LocationArchived,
    LocationNotFound,
    MovementNotReversible,
    PartArchived,
    PartNotFound,
)
from tests.inventory_svc.domain.warehouse import START, Warehouse

BOLT = ("bolt", "main")


def count(
    on_hand: int, version: int | None = None, *, unconditional: bool = False, allow_missing: bool = False
) -> commands.SetStock:
    return commands.SetStock(BOLT, on_hand, version, unconditional, allow_missing, "counted")


def adjust(delta: int, version: int | None = None, key: tuple[str, str] = BOLT) -> commands.AdjustStock:
    return commands.AdjustStock(key, delta, MovementKind.ADJUSTED, "why", version)


@pytest.fixture
def warehouse() -> Warehouse:
    """Ten bolts at `main`, version 1."""
    made = Warehouse("berlin")
    made.do(count(10, 0))
    return made


def test_a_level_names_its_availability() -> None:
    level = StockLevel("bolt", "main", 5, 3, 2, 1, START, "", "")

    assert (level.available_stock, level.is_in_stock, level.is_low_stock) == (2, True, True)


@pytest.mark.parametrize("command", [count(1, 0), count(1, None, allow_missing=True), count(1, 0, allow_missing=True)])
def test_a_missing_level_is_made_when_the_caller_says_so(command: commands.SetStock) -> None:
    level = Warehouse().do(command)

    assert (level.on_hand, level.version) == (1, 1)


def test_an_unconditional_count_of_a_missing_level_is_not_found() -> None:
    with pytest.raises(PartNotFound):
        Warehouse().do(count(1, unconditional=True))


def test_a_version_of_a_missing_level_is_a_conflict() -> None:
    with pytest.raises(VersionConflict) as caught:
        Warehouse().do(count(1, 3, allow_missing=True))

    assert caught.value.metadata["current_version"] == "0"


def test_a_level_at_an_unknown_location_is_not_made() -> None:
    with pytest.raises(LocationNotFound):
        Warehouse().do(commands.SetStock(("bolt", "paris"), 1, 0, unconditional=False, allow_missing=True, reason="x"))


def test_a_count_must_say_what_it_replaces(warehouse: Warehouse) -> None:
    with pytest.raises(VersionRequired):
        warehouse.do(count(3))


def test_a_stale_version_is_a_conflict_with_the_current_level(warehouse: Warehouse) -> None:
    warehouse.do(count(8, 1))

    with pytest.raises(ConcurrencyError) as caught:
        warehouse.do(count(7, 1))

    assert caught.value.current == warehouse.levels[BOLT]
    assert caught.value.metadata["changed_by"] == "buyer"


def test_an_unchanged_count_is_a_movement(warehouse: Warehouse) -> None:
    level = warehouse.do(count(10, 1))

    assert (level.version, warehouse.ledger[-1].on_hand_delta, warehouse.ledger[-1].kind) == (2, 0, "counted")


def test_a_difference_below_zero_says_what_is_available(warehouse: Warehouse) -> None:
    with pytest.raises(InsufficientStock) as caught:
        warehouse.do(adjust(-11))

    assert (caught.value.metadata["requested"], caught.value.metadata["available"]) == ("11", "10")


def test_a_level_has_a_largest_number(warehouse: Warehouse) -> None:
    with pytest.raises(FieldInvalid):
        warehouse.do(adjust(MAX_UNITS))


def test_items_of_one_level_are_applied_in_order(warehouse: Warehouse) -> None:
    results = warehouse.do(commands.BatchAdjust([adjust(-4, 1), adjust(-7), adjust(1, 2)], atomic=False))

    assert [item.level.on_hand for item in results] == [6, 6, 7]
    assert [item.error and item.error.reason for item in results] == [None, "INSUFFICIENT_STOCK", None]


def test_an_atomic_batch_names_the_item_that_failed(warehouse: Warehouse) -> None:
    with pytest.raises(BatchAborted) as caught:
        warehouse.do(commands.BatchAdjust([adjust(-4), adjust(-7)], atomic=True))

    assert (caught.value.metadata["item"], caught.value.metadata["item_reason"]) == ("1", "INSUFFICIENT_STOCK")
    assert warehouse.levels[BOLT].on_hand == 10


def test_an_expected_number_is_checked(warehouse: Warehouse) -> None:
    command = commands.AdjustStock(BOLT, -1, MovementKind.ADJUSTED, "why", expected_on_hand=9)

    with pytest.raises(VersionConflict) as caught:
        warehouse.do(command)

    assert caught.value.metadata["current_on_hand"] == "10"


def test_a_transfer_makes_the_receiving_level(warehouse: Warehouse) -> None:
    moved = warehouse.do(commands.TransferStock("bolt", "main", "berlin", 4, 1, "move"))

    assert (moved.from_level.on_hand, moved.to_level.on_hand, moved.to_level.version) == (6, 4, 1)
    assert {item.kind for item in warehouse.ledger[1:]} == {"transferred_out", "transferred_in"}


def test_a_transfer_needs_two_live_locations(warehouse: Warehouse) -> None:
    with pytest.raises(FieldInvalid):
        warehouse.do(commands.TransferStock("bolt", "main", "main", 4, None, "move"))
    with pytest.raises(LocationNotFound):
        warehouse.do(commands.TransferStock("bolt", "main", "paris", 4, None, "move"))
    warehouse.do(commands.ArchiveLocation("berlin"))
    with pytest.raises(LocationArchived):
        warehouse.do(commands.TransferStock("bolt", "main", "berlin", 4, None, "move"))


def test_an_archived_level_does_not_move_until_restored(warehouse: Warehouse) -> None:
    archived = warehouse.do(commands.ArchiveStock(BOLT, 1, ""))

    assert (archived.archived_at, archived.version) == (warehouse.now, 2)
    with pytest.raises(PartArchived):
        warehouse.do(adjust(1))
    assert warehouse.do(commands.RestoreStock(BOLT, 2, "")).archived_at is None
    with pytest.raises(IllegalState):
        warehouse.do(commands.RestoreStock(BOLT, None, ""))


def test_a_movement_is_undone_by_its_opposite(warehouse: Warehouse) -> None:
    warehouse.do(adjust(5))

    undone = warehouse.do(commands.ReverseMovement(warehouse.ledger[-1], ""))

    assert (undone.level.on_hand, undone.movement.kind, undone.movement.reverses_version) == (10, "reversed", 2)


def test_what_was_sold_since_cannot_be_undone(warehouse: Warehouse) -> None:
    warehouse.do(adjust(5))
    received = warehouse.ledger[-1]
    warehouse.do(adjust(-12))

    with pytest.raises(MovementNotReversible) as caught:
        warehouse.do(commands.ReverseMovement(received, ""))

    assert caught.value.metadata == {"cause": "insufficient_stock", "requested": "5", "available": "3"}


def test_half_of_a_step_cannot_be_undone(warehouse: Warehouse) -> None:
    warehouse.do(commands.TransferStock("bolt", "main", "berlin", 4, None, "move"))

    with pytest.raises(MovementNotReversible) as caught:
        warehouse.do(commands.ReverseMovement(warehouse.ledger[-1], ""))

    assert caught.value.metadata["cause"] == "transfer"
