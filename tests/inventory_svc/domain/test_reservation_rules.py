"""Rules of reservations, one behaviour per test."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta

import pytest

from inventory_svc.domain import commands
from inventory_svc.domain.reservation import Owner, Reservation, ReservationLine, ReservationState
from inventory_svc.domain.stock import MovementKind
from inventory_svc.errors import InsufficientStock, PartNotFound, ReservationNotFound, ReservationNotHeld
from tests.inventory_svc.domain.warehouse import Warehouse

ANNA = Owner("anna", is_user=False)
BERT = Owner("bert", is_user=False)


@pytest.fixture
def warehouse() -> Warehouse:
    """Three bolts at `main`, five at `berlin`, two nuts at `main`."""
    made = Warehouse("berlin")
    for part, location, units in (("bolt", "main", 3), ("bolt", "berlin", 5), ("nut", "main", 2)):
        made.do(
            commands.SetStock((part, location), units, 0, unconditional=False, allow_missing=True, reason="counted")
        )
    return made


def reserve(
    warehouse: Warehouse,
    *lines: tuple[str, int] | tuple[str, int, str],
    owner: Owner = ANNA,
    replaces: str | None = None,
) -> Reservation:
    """Reserve lines for a minute."""
    wanted = [ReservationLine(line[0], line[2] if len(line) == 3 else "", line[1]) for line in lines]
    held: Reservation = warehouse.do(
        commands.CreateReservation(
            str(uuid.uuid4()), wanted, timedelta(seconds=60), owner, "", replaces, may_act_for_others=False
        )
    )
    return held


def test_the_location_with_most_available_is_chosen(warehouse: Warehouse) -> None:
    held = reserve(warehouse, ("bolt", 2))

    assert held.lines == (ReservationLine("bolt", "berlin", 2),)


def test_lines_of_one_part_are_summed_first(warehouse: Warehouse) -> None:
    assert reserve(warehouse, ("bolt", 2), ("bolt", 3)).lines == (ReservationLine("bolt", "berlin", 5),)
    with pytest.raises(InsufficientStock):
        reserve(warehouse, ("nut", 1), ("nut", 2))


def test_a_named_location_is_taken_before_one_is_chosen(warehouse: Warehouse) -> None:
    held = reserve(warehouse, ("bolt", 2), ("bolt", 4, "berlin"))

    assert held.lines == (ReservationLine("bolt", "berlin", 4), ReservationLine("bolt", "main", 2))


def test_all_lines_are_held_or_none(warehouse: Warehouse) -> None:
    with pytest.raises(InsufficientStock) as caught:
        reserve(warehouse, ("bolt", 1), ("nut", 3), ("bolt", 9, "main"))

    short = json.loads(caught.value.metadata["lines"])
    assert [(line["part_id"], line["requested"], line["available"]) for line in short] == [
        ("bolt", 9, 3),
        ("nut", 3, 2),
    ]
    assert all(level.reserved == 0 for level in warehouse.levels.values())


def test_an_unknown_part_is_not_found(warehouse: Warehouse) -> None:
    with pytest.raises(PartNotFound):
        reserve(warehouse, ("gear", 1))


def test_a_committed_hold_is_shipped(warehouse: Warehouse) -> None:
    held = reserve(warehouse, ("nut", 2))

    done = warehouse.do(commands.CommitReservation(held.reservation_id, ANNA, may_act_for_others=False))

    level = warehouse.levels["nut", "main"]
    assert (done.state, level.on_hand, level.reserved) == (ReservationState.COMMITTED, 0, 0)
    assert warehouse.ledger[-1].kind == MovementKind.SHIPPED


def test_a_released_hold_is_available_again(warehouse: Warehouse) -> None:
    held = reserve(warehouse, ("nut", 2))

    warehouse.do(commands.ReleaseReservation(held.reservation_id, ANNA, may_act_for_others=False))

    assert warehouse.levels["nut", "main"].available_stock == 2


def test_a_stranger_cannot_tell_that_a_hold_exists(warehouse: Warehouse) -> None:
    held = reserve(warehouse, ("nut", 2))

    with pytest.raises(ReservationNotFound):
        warehouse.do(commands.ReleaseReservation(held.reservation_id, BERT, may_act_for_others=False))
    with pytest.raises(ReservationNotFound):
        warehouse.do(
            commands.ReleaseReservation(held.reservation_id, Owner("anna", is_user=True), may_act_for_others=False)
        )


def test_a_hold_ends_once(warehouse: Warehouse) -> None:
    held = reserve(warehouse, ("nut", 2))
    warehouse.do(commands.CommitReservation(held.reservation_id, ANNA, may_act_for_others=False))

    with pytest.raises(ReservationNotHeld) as caught:
        warehouse.do(commands.ReleaseReservation(held.reservation_id, ANNA, may_act_for_others=False))

    assert caught.value.metadata["state"] == "committed"


def test_a_hold_whose_time_is_over_cannot_be_committed_even_before_it_was_swept(warehouse: Warehouse) -> None:
    held = reserve(warehouse, ("nut", 2))
    warehouse.wait(60)

    with pytest.raises(ReservationNotHeld) as caught:
        warehouse.do(commands.CommitReservation(held.reservation_id, ANNA, may_act_for_others=False))

    assert caught.value.metadata["state"] == "expired"


def test_an_overdue_hold_makes_nobody_wait(warehouse: Warehouse) -> None:
    held = reserve(warehouse, ("nut", 2))
    warehouse.wait(61)

    reserve(warehouse, ("nut", 2), owner=BERT)

    assert warehouse.reservations[held.reservation_id].state is ReservationState.EXPIRED
    assert warehouse.levels["nut", "main"].reserved == 2


def test_an_overdue_hold_is_left_alone_while_there_is_enough(warehouse: Warehouse) -> None:
    held = reserve(warehouse, ("bolt", 1, "main"))
    warehouse.wait(61)

    reserve(warehouse, ("bolt", 1, "main"), owner=BERT)

    assert warehouse.reservations[held.reservation_id].state is ReservationState.HELD


def test_an_extended_hold_lives_longer(warehouse: Warehouse) -> None:
    held = reserve(warehouse, ("nut", 2))
    warehouse.wait(50)
    warehouse.do(commands.ExtendReservation(held.reservation_id, timedelta(seconds=60), ANNA, may_act_for_others=False))
    warehouse.wait(50)

    done = warehouse.do(commands.CommitReservation(held.reservation_id, ANNA, may_act_for_others=False))

    assert done.state is ReservationState.COMMITTED


def test_an_own_hold_never_blocks_its_owner(warehouse: Warehouse) -> None:
    first = reserve(warehouse, ("nut", 2))

    second = reserve(warehouse, ("nut", 2), replaces=first.reservation_id)

    assert warehouse.reservations[first.reservation_id].state is ReservationState.RELEASED
    assert second.state is ReservationState.HELD
    assert warehouse.levels["nut", "main"].reserved == 2


def test_a_refused_replacement_keeps_the_old_hold(warehouse: Warehouse) -> None:
    first = reserve(warehouse, ("nut", 2))

    with pytest.raises(InsufficientStock):
        reserve(warehouse, ("nut", 3), replaces=first.reservation_id)

    assert warehouse.reservations[first.reservation_id].state is ReservationState.HELD
    warehouse.check()
