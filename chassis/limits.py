"""``PARTSTREAM_LIMITS``: overrides of default limits, ``name=value`` separated by commas.

::

    reads=1000/s,writes.customer=50/10s,sign_in=10/min,connections_per_address=200,reservation_share=0.5

A rate is an amount in a number of seconds, minutes or hours. ``reads=`` holds for every role, ``reads.customer=`` for
that role, with precedence. Each process reads the whole setting and uses its own limits; an unknown name is an error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LIMITS_HELP = "overrides of default limits, for example `reads=1000/s,writes.customer=50/10s,reservation_share=0.5`"
GUEST = "guest"  # a caller without a token
# Roles that a rate can be set for: guests, and the roles of accounts.
ROLES = (GUEST, "customer", "support", "stock_manager", "content_editor", "auditor", "admin", "service")
RATES_BY_ROLE = ("reads", "writes", "reservations")

_SECONDS = {"s": 1, "min": 60, "h": 3600}
_RATE = re.compile(r"(?P<amount>[0-9]{1,9})/(?P<multiple>[0-9]{0,4})(?P<unit>s|min|h)")


@dataclass(frozen=True, slots=True)
class Rate:
    """A number of requests in a number of seconds."""

    amount: int
    seconds: int

    def __str__(self) -> str:
        """Format the rate as the setting has it."""
        unit = next(name for name in reversed(_SECONDS) if self.seconds % _SECONDS[name] == 0)
        multiple = self.seconds // _SECONDS[unit]
        return f"{self.amount}/{'' if multiple == 1 else multiple}{unit}"


@dataclass(frozen=True, slots=True)
class Limits:
    """The overrides of the setting; every other limit has its default."""

    given: Mapping[str, Rate | int | float] = field(default_factory=dict)

    def rate(self, name: str, default: Rate) -> Rate:
        """Return the limit of a rate."""
        value = self.given.get(name, default)
        assert isinstance(value, Rate)  # noqa: S101 - the parser gave it this type
        return value

    def rate_of_role(self, name: str, role: str, default: Rate) -> Rate:
        """Return the limit of a rate for a role: its own, else that of every role, else the default."""
        return self.rate(f"{name}.{role}", self.rate(name, default))

    def count(self, name: str, default: int) -> int:
        """Return the limit of a number of things."""
        value = self.given.get(name, default)
        assert isinstance(value, int)  # noqa: S101 - the parser gave it this type
        return value

    def share(self, name: str, default: float) -> float:
        """Return the limit of a share, between 0 and 1."""
        value = self.given.get(name, default)
        assert isinstance(value, float)  # noqa: S101 - the parser gave it this type
        return value

    def __str__(self) -> str:
        """Show nothing when nothing is overridden, for the table of settings."""
        return ",".join(f"{name}={value}" for name, value in self.given.items())


def limits(raw: str) -> Limits:
    """Parse the setting; ``ValueError`` names what is wrong."""
    given: dict[str, Rate | int | float] = {}
    for item in (part.strip() for part in raw.split(",")):
        if not item:
            continue
        name, separator, value = (part.strip() for part in item.partition("="))
        parse = _KNOWN.get(name)
        if not separator or parse is None:
            names = ", ".join(name for name in _KNOWN if "." not in name)
            roles = f"reads, writes and reservations may name a role, as in reads.customer: {', '.join(ROLES)}"
            message = f"{item!r} is not `name=value` with a name of {names}; {roles}"
            raise ValueError(message)
        if name in given:
            message = f"{name} is given twice"
            raise ValueError(message)
        given[name] = parse(value)
    return Limits(given)


def _rate(raw: str) -> Rate:
    found = _RATE.fullmatch(raw)
    if found is None or int(found["amount"]) < 1 or found["multiple"].startswith("0"):
        message = f"{raw!r} is not a rate such as 100/s, 100/10s, 100/min or 100/h"
        raise ValueError(message)
    return Rate(int(found["amount"]), int(found["multiple"] or 1) * _SECONDS[found["unit"]])


def _count(raw: str) -> int:
    if not (raw.isascii() and raw.isdecimal()) or int(raw) < 1:
        message = f"{raw!r} is not a whole number of at least 1"
        raise ValueError(message)
    return int(raw)


def _share(raw: str) -> float:
    try:
        value = float(raw)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        message = f"{raw!r} is not a share between 0 and 1"
        raise ValueError(message)
    return value


_Parse: TypeAlias = "Callable[[str], Rate | int | float]"
_ROLE_RATES: dict[str, _Parse] = {f"{name}.{role}": _rate for name in RATES_BY_ROLE for role in ROLES}
_KNOWN: dict[str, _Parse] = _ROLE_RATES | {
    "reads": _rate,
    "writes": _rate,
    "reservations": _rate,
    "sign_in": _rate,
    "snapshots": _rate,
    "live_work": _rate,
    "streams": _count,
    "streams_per_caller": _count,
    "live_parts": _count,
    "live_parts_per_address": _count,
    "live_parts_per_connection": _count,
    "connections_per_address": _count,
    "open_reservations_per_address": _count,
    "reservation_share": _share,
}
