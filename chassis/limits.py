"""``PARTSTREAM_LIMITS``: overrides of default limits, ``name=value`` separated by commas.

::

    reads=1000/s,sign_in=10/min,connections_per_address=200,open_reservations_per_address=50,reservation_share=0.5

Each process reads the whole setting and uses what concerns it; a name that no process knows is an error.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LIMITS_HELP = "overrides of default limits, for example `reads=1000/s,reservation_share=0.5`"

_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests in so many seconds."""

    amount: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Limits:
    """What the setting overrides; every other limit has its default."""

    given: Mapping[str, Rate | int | float] = field(default_factory=dict)

    def rate(self, name: str, default: Rate) -> Rate:
        """Return the limit of a rate."""
        value = self.given.get(name, default)
        assert isinstance(value, Rate)  # noqa: S101 - the parser gave it this type
        return value

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
            message = f"{item!r} is not `name=value` with a name of {', '.join(_KNOWN)}"
            raise ValueError(message)
        if name in given:
            message = f"{name} is given twice"
            raise ValueError(message)
        given[name] = parse(value)
    return Limits(given)


def _rate(raw: str) -> Rate:
    amount, _, unit = raw.partition("/")
    if unit not in _SECONDS:
        message = f"{raw!r} is not a rate such as 100/s, 100/min or 100/h"
        raise ValueError(message)
    return Rate(_count(amount), _SECONDS[unit])


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


_KNOWN: dict[str, Callable[[str], Rate | int | float]] = {
    "reads": _rate,
    "writes": _rate,
    "reservations": _rate,
    "sign_in": _rate,
    "connections_per_address": _count,
    "open_reservations_per_address": _count,
    "reservation_share": _share,
}
