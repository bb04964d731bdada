"""The checker itself: it accepts what can be, and finds what cannot."""

from __future__ import annotations

import random

import pytest

from tests.inventory_svc.storms.history import History, Kind, NotLinearizable, Operation


def adjusted(began: float, ended: float, version: int, on_hand: int, amount: int) -> Operation:
    return Operation(Kind.ADJUST, began, ended, version, on_hand, amount)


def counted(began: float, ended: float, version: int, on_hand: int) -> Operation:
    return Operation(Kind.SET, began, ended, version, on_hand, on_hand)


def read(began: float, ended: float, version: int, on_hand: int) -> Operation:
    return Operation(Kind.READ, began, ended, version, on_hand)


def refused(began: float, ended: float, version: int, on_hand: int, amount: int) -> Operation:
    return Operation(Kind.ADJUST, began, ended, version, on_hand, amount, is_refused=True)


def test_calls_that_overlap_may_take_any_order() -> None:
    history = History(10, [adjusted(0, 5, 3, 5, -2), adjusted(1, 4, 2, 7, -3), read(2, 3, 1, 10), read(3, 6, 3, 5)])

    assert [state.on_hand for state in history.check()] == [0, 10, 7, 5]


@pytest.mark.parametrize(
    ("operations", "words"),
    [
        ([adjusted(0, 1, 2, 9, -1), adjusted(0, 1, 2, 9, -1)], "comes 2"),
        ([adjusted(0, 1, 3, 9, -1)], "comes 3"),
        ([adjusted(0, 1, 2, 8, -1)], "should be there"),
        ([counted(0, 1, 2, 4), adjusted(0, 1, 3, 9, -1)], "should be there"),
        ([adjusted(0, 1, 3, 8, -1), adjusted(2, 3, 2, 9, -1)], "ended before"),
        ([adjusted(0, 1, 2, 9, -1), read(2, 3, 1, 10)], "only 2 to 2"),
        ([adjusted(2, 3, 2, 9, -1), read(0, 1, 2, 9)], "only 1 to 1"),
        ([adjusted(0, 9, 2, 9, -1), read(1, 2, 2, 9), read(3, 4, 1, 10)], "older state"),
        ([adjusted(0, 1, 2, 9, -1), read(2, 3, 2, 8)], "saw 8 units"),
        ([refused(0, 1, 1, 10, -10)], "was refused although"),
        ([adjusted(0, 1, 2, 9, -1), refused(2, 3, 1, 10, -11)], "only 2 to 2"),
    ],
)
def test_answers_that_cannot_all_be_true_are_found(operations: list[Operation], words: str) -> None:
    with pytest.raises(NotLinearizable, match=words):
        History(10, operations).check()


def test_histories_of_a_true_register_are_accepted_and_a_lost_update_in_them_is_found() -> None:
    for seed in range(50):
        operations = simulated(random.Random(seed))
        History(100, list(operations)).check()

        at = next(index for index, item in enumerate(operations) if item.kind is Kind.ADJUST)
        lost = operations[at]
        operations[at] = adjusted(lost.began, lost.ended, lost.version, lost.on_hand - lost.amount, lost.amount)
        with pytest.raises(NotLinearizable):
            History(100, operations).check()


def simulated(chance: random.Random) -> list[Operation]:
    """Calls that took effect at one moment each, asked before it and answered after it."""
    version, on_hand = 1, 100
    operations = []
    for moment in range(1, 60):
        began, ended = moment - chance.random() * 5, moment + chance.random() * 5
        kind = chance.choice(list(Kind)) if moment > 1 else Kind.ADJUST
        amount = chance.randint(1, 9)
        if kind is not Kind.READ:
            version += 1
            on_hand = amount if kind is Kind.SET else on_hand + amount
        operations.append(Operation(kind, began, ended, version, on_hand, amount))
    return operations
