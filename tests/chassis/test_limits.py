"""``PARTSTREAM_LIMITS``: its overrides, and invalid values."""

from __future__ import annotations

import pytest

from chassis.limits import Limits, Rate, limits

EVERYTHING = (
    "reads=1000000/s,writes=100000/s,reservations=100000/s,sign_in=10/min,connections_per_address=20000,"
    "open_reservations_per_address=100000, reservation_share=1.0"
)


def test_a_given_limit_overrides_the_default() -> None:
    given = limits(EVERYTHING)

    assert given.rate("reads", Rate(1, 1)) == Rate(1_000_000, 1)
    assert given.rate("sign_in", Rate(1, 1)) == Rate(10, 60)
    assert given.count("open_reservations_per_address", 5) == 100_000
    assert given.share("reservation_share", 0.5) == 1.0


def test_a_rate_of_a_role_precedes_that_of_all_roles() -> None:
    given = limits("reads=5/s,reads.customer=7/2min")

    assert given.rate_of_role("reads", "customer", Rate(1, 1)) == Rate(7, 120)
    assert given.rate_of_role("reads", "guest", Rate(1, 1)) == Rate(5, 1)
    assert given.rate_of_role("writes", "customer", Rate(1, 1)) == Rate(1, 1)


def test_other_limits_have_their_defaults() -> None:
    assert limits("").count("connections_per_address", 5) == 5
    assert Limits().share("reservation_share", 0.5) == 0.5
    assert str(Limits()) == ""


@pytest.mark.parametrize(
    "raw",
    [
        "open_reservation_per_address=5",
        "reads",
        "reads=5",
        "reads=5/fortnight",
        "reads=0/s",
        "reads=5/0s",
        "reads=5/01s",
        "reads=-5/s",
        "reads=1e3/s",
        "reads=10000000000/s",
        "reads.unknown=5/s",
        "sign_in.admin=5/s",
        "connections_per_address.admin=5",
        "connections_per_address=-1",
        "connections_per_address=1.5",
        "connections_per_address=²",
        "reservation_share=1.1",
        "reservation_share=nan",
        "reservation_share=0.5,reservation_share=0.6",
    ],
)
def test_an_invalid_limit_is_rejected(raw: str) -> None:
    with pytest.raises(ValueError, match=raw.partition("=")[0] if raw.count("=") > 1 else "is not"):
        limits(raw)
