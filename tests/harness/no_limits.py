"""Limits that no test meets: for tests of everything else, which may ask for more than any caller."""

from typing import Final

from chassis.limits import Limits, limits

RATES: Final = (
    "reads=1000000/s,writes=100000/s,reservations=100000/s,sign_in=100000/s,snapshots=100000/s,streams=100000,"
    "streams_per_caller=100000"
)


def without_rates(others: str = "") -> Limits:
    """Return limits without rates, and others as the setting has them."""
    return limits(f"{RATES},{others}")
