"""From when on nothing is missing."""

from __future__ import annotations

import pytest

from edge.cache.follow import Freshness


@pytest.fixture
def clock() -> list[float]:
    return [100.0]


def test_without_a_message_the_age_is_infinite(clock: list[float]) -> None:
    assert Freshness(lambda: True, lambda: clock[0]).age_seconds() == float("inf")


def test_follower_at_the_newest_revision_is_as_of_now(clock: list[float]) -> None:
    freshness = Freshness(lambda: True, lambda: clock[0])

    freshness.record_message(reached=7, newest=7)
    clock[0] += 3

    assert freshness.age_seconds() == 3


def test_follower_catching_up_is_as_of_the_message_it_has_reached(clock: list[float]) -> None:
    freshness = Freshness(lambda: True, lambda: clock[0])
    ages = []

    for reached, newest in ((10, 100), (50, 110), (100, 120), (120, 120)):
        freshness.record_message(reached, newest)
        ages.append(freshness.age_seconds())
        clock[0] += 1

    assert ages == [float("inf"), float("inf"), 2, 0]
