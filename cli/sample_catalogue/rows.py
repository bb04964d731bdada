"""Makes the rows of the sample: the same ones on every machine and at every call, in the form that ``import`` reads."""

import itertools
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cli.sample_catalogue.electromechanics import ELECTROMECHANICS
from cli.sample_catalogue.family import Family
from cli.sample_catalogue.passives import PASSIVES
from cli.sample_catalogue.semiconductors import SEMICONDUCTORS

FAMILIES = (*PASSIVES, *SEMICONDUCTORS, *ELECTROMECHANICS)
CURRENCY = "EUR"
# Price of one piece when so many are bought, relative to a single piece.
PRICE_BREAKS = ((1, 1.0), (10, 0.86), (100, 0.69), (1000, 0.52))
SHARE_OUT_OF_STOCK = 0.07
SHARE_LOW = 0.12
LOW_STOCK = (1, 24)
GOOD_STOCK = (60, 48_000)
REORDER_POINT = 25
NOT_IN_A_CODE = re.compile(r"[^A-Z0-9]+")
LETTERS = str.maketrans({"Ω": "R", "µ": "U", "°": "", "%": "P"})


@dataclass(frozen=True, slots=True)
class SampleRow:
    """A row for ``import``, and the level at or below which its stock counts as low (0 = only when out)."""

    values: dict[str, Any]
    reorder_point: int


def sample_rows() -> Iterator[SampleRow]:
    """Yield every part of every family."""
    for family in FAMILIES:
        yield from _members(family)


def _members(family: Family) -> Iterator[SampleRow]:
    chance = random.Random(f"partstream sample {family.code}")  # noqa: S311 - the same numbers every time is the point
    combinations = list(itertools.product(*family.axes.values()))
    count = min(family.members, len(combinations))
    for number in range(count):
        chosen = combinations[number * len(combinations) // count]
        specs = dict(zip(family.axes, chosen, strict=True)) | dict(family.fixed)
        maker = family.makers[number % len(family.makers)]
        mpn = "-".join([family.code, *(_code(value) for value in chosen)])
        properties = ", ".join(_shown(name, value) for name, value in zip(family.axes, chosen, strict=True))
        price = family.prices[0] + (family.prices[1] - family.prices[0]) * number / max(count - 1, 1)
        stock, reorder_point = _stock(chance)
        values = {
            "sku": f"{family.code}-{1001 + number}",
            "mpn": mpn,
            "manufacturer": maker,
            "title": f"{maker} {mpn}: {properties} {family.noun}",
            "description": f"{family.noun[0].upper()}{family.noun[1:]} by {maker}. {family.use}",
            "category": list(family.category),
            "specs": specs,
            "prices": [[quantity, round(price * factor, 4)] for quantity, factor in PRICE_BREAKS],
            "stock": stock,
        }
        yield SampleRow(values, reorder_point)


def _stock(chance: random.Random) -> tuple[int, int]:
    lot = chance.random()
    if lot < SHARE_OUT_OF_STOCK:
        return 0, REORDER_POINT
    if lot < SHARE_OUT_OF_STOCK + SHARE_LOW:
        return chance.randint(*LOW_STOCK), REORDER_POINT
    lowest, highest = GOOD_STOCK
    # As many parts between 60 and 600 as between 6,000 and 60,000.
    return int(lowest * (highest / lowest) ** chance.random()), 0


def _code(value: str) -> str:
    return NOT_IN_A_CODE.sub("", value.replace(".", "R").translate(LETTERS).upper()) or "X"


def _shown(name: str, value: str) -> str:
    """A bare number needs its name to say anything."""
    if not value.isdigit():
        return value
    return f"{value} {name.lower().removesuffix('s') if value == '1' else name.lower()}"
