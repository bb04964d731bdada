"""Counts of requests by caller and window."""

from __future__ import annotations

import pytest

from chassis.limits import GUEST, ROLES, Rate, limits
from chassis.rates import DEFAULTS, READS, SIGN_IN, WRITES, Quota, Quotas
from edge.identity.roles import ROLES as ROLES_OF_ACCOUNTS


class Clock:
    """Seconds since 1970, set by tests."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def quota(amount: int, seconds: int, clock: Clock, **options: int) -> Quota:
    return Quota(READS, GUEST, Rate(amount, seconds), clock=clock, **options)


def test_a_caller_has_its_quota_once_per_window() -> None:
    clock = Clock(1_000_003.5)
    reads = quota(2, 10, clock)

    taken = [reads.take("192.0.2.1") for _ in range(4)]

    assert [(item.allowed, item.remaining) for item in taken] == [(True, 1), (True, 0), (False, 0), (False, 0)]
    assert [item.reset_seconds for item in taken] == [7] * 4
    assert [item.is_first_rejection for item in taken] == [False, False, True, False]
    assert reads.take("192.0.2.2").allowed


def test_the_full_quota_is_available_after_the_reset() -> None:
    clock = Clock(1_000_003.5)
    reads = quota(1, 10, clock)
    reads.take("a")
    clock.now += reads.take("a").reset_seconds

    assert reads.take("a") == (True, 0, 10, False)


def test_a_clock_that_is_set_back_starts_another_window() -> None:
    clock = Clock()
    reads = quota(1, 10, clock)
    reads.take("a")
    clock.now -= 3_600

    assert reads.take("a").allowed
    assert not reads.take("a").allowed


def test_any_number_of_callers_needs_bounded_memory() -> None:
    reads = quota(1, 3_600, Clock(), most_keys=100)
    for number in range(1_000):
        reads.take(f"address-{number}")
        reads.take(f"address-{number}")

    assert len(reads._counts) == 100
    assert len(reads._rejected) == 100
    assert not reads.take("address-999").allowed


def test_only_callers_with_used_quota_are_shared() -> None:
    reads = quota(100, 10, Clock())
    for _ in range(5):
        reads.take("busy")
    reads.take("idle")

    assert [key for key, _ in reads.busy()] == ["busy"]


def test_of_several_roles_the_largest_quota_counts() -> None:
    quotas = Quotas(limits("reads=10/s,reads.customer=5/s,reads.auditor=100/10s,writes.guest=1/h"))

    assert quotas.of_guest(READS).rate == Rate(10, 1)
    assert quotas.of_guest(WRITES).rate == Rate(1, 3600)
    assert quotas.of_roles(READS, frozenset({"customer"})).rate == Rate(5, 1)
    assert quotas.of_roles(READS, frozenset({"customer", "auditor"})).role == "auditor"
    assert quotas.of_roles(READS, frozenset({"unknown role"})).role == "customer"
    assert quotas.of_guest(SIGN_IN).rate == Rate(300, 60)


def test_every_role_of_an_account_has_limits() -> None:
    assert set(ROLES) == {GUEST, *ROLES_OF_ACCOUNTS} == set(DEFAULTS)


@pytest.mark.parametrize("raw", ["100/s", "3000/10s", "300/min", "5/2min", "7/h"])
def test_a_rate_is_formatted_as_in_the_setting(raw: str) -> None:
    assert str(limits(f"reads={raw}")) == f"reads={raw}"
