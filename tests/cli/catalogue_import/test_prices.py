"""Prices: exact by quantity, and one rounded for lists."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.catalogue_import.errors import RowRejected
from cli.catalogue_import.numbers import NumberFormat
from cli.catalogue_import.prices import NO_PRICE, prices
from cli.catalogue_import.treatments import Notes, Treatment


def treated(notes: Notes) -> list[Treatment]:
    return [note.treatment for note in notes]


def test_the_exact_price_is_what_the_file_says_and_not_what_the_double_holds() -> None:
    found = prices([[1, 0.0188], [200, 0.0137]], Notes())

    assert found.breaks == ((1, Decimal("0.0188")), (200, Decimal("0.0137")))
    assert found.minor == 2


@pytest.mark.parametrize(("price", "minor"), [(1.005, 101), (0.124, 12), (0.125, 13), (0, 0), (3, 300), ("2.50", 250)])
def test_the_listed_price_is_rounded_half_up(price: object, minor: int) -> None:
    assert prices([[1, price]], Notes()).minor == minor


def test_a_price_below_half_a_minor_unit_is_listed_as_one() -> None:
    notes = Notes()

    found = prices([[1, 0.0004]], notes)

    assert (found.minor, found.breaks) == (1, ((1, Decimal("0.0004")),))
    assert treated(notes) == [Treatment.PRICE_RAISED_TO_MINOR_UNIT]


def test_equal_prices_are_kept() -> None:
    notes = Notes()

    found = prices([[1, 0.5], [10, 0.5]], notes)

    assert len(found.breaks) == 2
    assert treated(notes) == [Treatment.PRICE_BREAKS_EQUAL_KEPT]


def test_breaks_are_put_in_order_and_repeated_ones_kept_once() -> None:
    notes = Notes()

    found = prices([[10, 0.4], [1, 0.5], [10, 0.4]], notes)

    assert [quantity for quantity, _ in found.breaks] == [1, 10]
    assert treated(notes) == [Treatment.PRICE_BREAKS_SORTED, Treatment.PRICE_BREAK_REPEATED]


@pytest.mark.parametrize("value", [None, []])
def test_a_part_may_have_no_price(value: object) -> None:
    notes = Notes()

    assert prices(value, notes) == NO_PRICE
    assert treated(notes) == [Treatment.PRICE_MISSING]


def test_a_bare_number_is_the_price_of_one() -> None:
    assert prices(1.25, Notes()).breaks == ((1, Decimal("1.25")),)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({}, "NOT_A_LIST"),
        ([1], "NOT_A_PAIR"),
        ([[0, 1]], "QUANTITY_INVALID"),
        ([[True, 1]], "QUANTITY_INVALID"),
        ([[1.5, 1]], "QUANTITY_INVALID"),
        ([[1, "cheap"]], "PRICE_INVALID"),
        ([[1, None]], "PRICE_INVALID"),
        ([[1, -0.1]], "PRICE_INVALID"),
        ([[1, float("nan")]], "PRICE_INVALID"),
        ([[1, 1e12]], "PRICE_INVALID"),
        ([[1, 0.1], [1, 0.2]], "QUANTITY_TWICE"),
        ([[number, 1] for number in range(1, 52)], "TOO_MANY"),
    ],
)
def test_what_contradicts_itself_is_rejected(value: object, reason: str) -> None:
    with pytest.raises(RowRejected) as caught:
        prices(value, Notes())

    assert caught.value.reason == reason


@pytest.mark.parametrize("nothing", [-0.0, "-0", 0])
def test_nothing_is_a_price_without_a_sign(nothing: object) -> None:
    """The service takes no `-0`, so the whole part was refused."""
    assert f"{prices([[1, nothing]], Notes()).breaks[0][1]:f}" == "0"


@given(st.floats(min_value=0, max_value=999_999_999, allow_nan=False))
def test_every_price_fits_the_contract(price: float) -> None:
    found = prices([[1, price]], Notes())
    whole, _, fraction = f"{found.breaks[0][1]:f}".partition(".")

    assert 1 <= len(whole) <= 12
    assert len(fraction) <= 9
    assert found.minor is not None
    assert abs(Decimal(found.minor) / 100 - found.breaks[0][1]) <= Decimal("0.01")


@pytest.mark.parametrize("price", ["1.000", "1.125", "12.500"])
def test_a_price_that_may_have_thousands_is_rejected(price: str) -> None:
    with pytest.raises(RowRejected) as caught:
        prices(price, Notes())

    assert caught.value.reason == "PRICE_INVALID"
    assert "--decimal" in caught.value.message


@pytest.mark.parametrize(
    ("price", "numbers", "expected"),
    [
        ("0.125", NumberFormat(), "0.125"),
        ("1.5", NumberFormat(), "1.5"),
        ("1e-5", NumberFormat(), "0.00001"),
        ("1.125", NumberFormat(decimal="."), "1.125"),
        ("1.125", NumberFormat(thousands="."), "1125"),
        ("1.125,50", NumberFormat(thousands="."), "1125.50"),
        ("0,25", NumberFormat(decimal=","), "0.25"),
        ([[1, "0,25"], [10, 0.2]], NumberFormat(decimal=","), "0.25"),
        (1.125, NumberFormat(thousands="."), "1.125"),
    ],
)
def test_a_price_is_read_as_the_file_writes_it(price: object, numbers: NumberFormat, expected: str) -> None:
    assert prices(price, Notes(), numbers).breaks[0][1] == Decimal(expected)


@pytest.mark.parametrize("price", ["Infinity", "\u0661", "1_0", "0,25", "one", "+", "1.2.3"])
def test_what_is_no_number_of_the_file_is_no_price(price: str) -> None:
    """`Decimal` reads underscores and the digits of other scripts."""
    with pytest.raises(RowRejected) as caught:
        prices(price, Notes())

    assert caught.value.reason == "PRICE_INVALID"
