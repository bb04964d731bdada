"""Reads the price breaks of a row: exact unit prices by quantity, and the one rounded price that lists show."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

from cli.catalogue_import.errors import RowRejected
from cli.catalogue_import.numbers import AS_USUAL, NumberFormat, how_to_say
from cli.catalogue_import.treatments import Notes, Treatment

MOST_BREAKS = 50
SMALLEST_UNIT = Decimal("0.000000001")  # what the contract carries: 9 decimals
LARGEST_PRICE = Decimal(10) ** 12
MINOR_UNITS = Decimal(100)
PAIR = 2
EXCLUSIVE_QUANTITY = 2**53  # whole numbers are exact in JSON up to here


@dataclass(frozen=True, slots=True)
class Prices:
    """`minor` is the price of one unit in minor units, None without one; `breaks` are (from quantity, exact price)."""

    minor: int | None
    breaks: tuple[tuple[int, Decimal], ...]


NO_PRICE = Prices(None, ())


def prices(value: object, notes: Notes, numbers: NumberFormat = AS_USUAL) -> Prices:
    """Return the prices of `[[from_quantity, unit_price], …]` or of a bare number.

    Raises RowRejected when one is no price, or two contradict each other.
    """
    if value in (None, []) or (isinstance(value, str) and not value.strip()):
        notes.add(Treatment.PRICE_MISSING, "prices")
        return NO_PRICE
    if isinstance(value, int | float | str):
        value = [[1, value]]
    if not isinstance(value, list):
        raise RowRejected("prices", "NOT_A_LIST", "must be a list of [quantity, price]", value)
    breaks = _in_order([_break(pair, notes, numbers) for pair in value], notes)
    if len(breaks) > MOST_BREAKS:
        raise RowRejected("prices", "TOO_MANY", f"{len(breaks)} price breaks, at most {MOST_BREAKS}", None)
    if len({price for _, price in breaks}) != len(breaks):
        notes.add(Treatment.PRICE_BREAKS_EQUAL_KEPT, "prices", value)
    return Prices(_minor(breaks[0][1], notes), tuple(breaks))


def _break(pair: object, notes: Notes, numbers: NumberFormat) -> tuple[int, Decimal]:
    if not isinstance(pair, list) or len(pair) != PAIR:
        raise RowRejected("prices", "NOT_A_PAIR", "each price break is [quantity, price]", pair)
    quantity, price = pair
    if isinstance(quantity, float) and quantity.is_integer():
        quantity = int(quantity)
    if not isinstance(quantity, int) or isinstance(quantity, bool) or not 1 <= quantity < EXCLUSIVE_QUANTITY:
        raise RowRejected("prices", "QUANTITY_INVALID", "a quantity is a whole number from 1", quantity)
    return quantity, _price(price, notes, numbers)


def _price(price: object, notes: Notes, numbers: NumberFormat) -> Decimal:
    if isinstance(price, str) and numbers.is_ambiguous(price):
        raise RowRejected("prices", "PRICE_INVALID", how_to_say(price), price)
    try:
        # Through repr: 0.0137 means 0.0137, not the 0.01369999999999999953 that the double holds.
        exact = Decimal(numbers.plain(price) or "" if isinstance(price, str) else repr(price))
    except InvalidOperation as fault:
        raise RowRejected("prices", "PRICE_INVALID", "a price is a number", price) from fault
    if not exact.is_finite() or not 0 <= exact < LARGEST_PRICE:
        raise RowRejected("prices", "PRICE_INVALID", f"a price is at least 0 and below {LARGEST_PRICE}", price)
    rounded = exact.quantize(SMALLEST_UNIT, ROUND_HALF_UP)
    if rounded != exact:
        notes.add(Treatment.PRICE_BREAK_ROUNDED, "prices", price)
    return abs(rounded.normalize())  # there is no price of -0


def _in_order(breaks: list[tuple[int, Decimal]], notes: Notes) -> list[tuple[int, Decimal]]:
    ordered = sorted(breaks, key=lambda each: each[0])
    if ordered != breaks:
        notes.add(Treatment.PRICE_BREAKS_SORTED, "prices", [quantity for quantity, _ in breaks])
    by_quantity: dict[int, Decimal] = {}
    for quantity, price in ordered:
        before = by_quantity.setdefault(quantity, price)
        if before != price:
            raise RowRejected(
                "prices", "QUANTITY_TWICE", f"two prices from quantity {quantity}", [str(before), str(price)]
            )
    if len(by_quantity) != len(ordered):
        notes.add(Treatment.PRICE_BREAK_REPEATED, "prices", len(ordered) - len(by_quantity))
    return list(by_quantity.items())


def _minor(price: Decimal, notes: Notes) -> int:
    minor = int((price * MINOR_UNITS).quantize(Decimal(1), ROUND_HALF_UP))
    if minor == 0 and price > 0:
        notes.add(Treatment.PRICE_RAISED_TO_MINOR_UNIT, "prices", str(price))
        return 1
    return minor
