"""The rules for fields: valid values, invalid values, and their paths."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import FieldInvalid
from content_svc.domain.part import Image, Money, PartContent, PriceBreak
from content_svc.domain.part_rules import canonical, canonical_scalar, validate_part
from tests.content_svc.domain.generated import contents

SOUND = PartContent(category_id="resistors", title="Resistor")


def violations(part_id: str, content: PartContent) -> list[str]:
    with pytest.raises(FieldInvalid) as caught:
        validate_part(part_id, content)
    return [field.path for field in caught.value.fields]


@given(contents())
def test_valid_content_is_accepted_and_already_canonical(content: PartContent) -> None:
    stored = canonical(content)

    validate_part("R-1.a_B", stored)

    assert canonical(stored) == stored


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"category_id": ""}, "part.category_id"),
        ({"category_id": "Über"}, "part.category_id"),
        ({"title": ""}, "part.title"),
        ({"title": " \u3000 "}, "part.title"),
        ({"title": "x" * 301}, "part.title"),
        ({"title": "two\nlines"}, "part.title"),
        ({"title": "nul\x00"}, "part.title"),
        ({"summary": "x" * 2001}, "part.summary"),
        ({"summary": "\x1b[31m"}, "part.summary"),
        ({"description": "x" * 100_001}, "part.description"),
        ({"specifications": {"": "x"}}, 'part.specifications[""]'),
        ({"specifications": {"a\x00": "x"}}, 'part.specifications["a\x00"]'),
        ({"specifications": {"a": float("nan")}}, 'part.specifications["a"]'),
        ({"specifications": {"a": float("inf")}}, 'part.specifications["a"]'),
        ({"specifications": {"a": {"nested": 1}}}, 'part.specifications["a"]'),
        ({"specifications": {"a": "x" * 2001}}, 'part.specifications["a"]'),
        ({"specifications": {str(n): n for n in range(201)}}, "part.specifications"),
        ({"images": (Image("/a"),) * 21}, "part.images"),
        ({"images": (Image("/a"), Image("http://insecure.example/a"))}, "part.images[1].url"),
        ({"images": (Image("//other.example/a"),)}, "part.images[0].url"),
        ({"images": (Image("/\\other.example"),)}, "part.images[0].url"),
        ({"images": (Image("javascript:alert(1)"),)}, "part.images[0].url"),
        ({"images": (Image("https://"),)}, "part.images[0].url"),
        ({"images": (Image("/a", alt="x" * 501),)}, "part.images[0].alt"),
        ({"images": (Image("/a", width=-1),)}, "part.images[0].width"),
        ({"price": Money(-1, "USD")}, "part.price.amount_minor"),
        ({"price": Money(1, "usd")}, "part.price.currency"),
        ({"price": Money(1, "USD"), "cost": Money(1, "EUR")}, "part.cost.currency"),
        ({"price_breaks": (PriceBreak(1, "1"),)}, "part.price_breaks"),
        ({"price": Money(1, "USD"), "price_breaks": (PriceBreak(0, "1"),)}, "part.price_breaks[0].from_quantity"),
        (
            {"price": Money(1, "USD"), "price_breaks": (PriceBreak(5, "1"), PriceBreak(5, "1"))},
            "part.price_breaks[1].from_quantity",
        ),
        ({"price": Money(1, "USD"), "price_breaks": (PriceBreak(1, "1e-5"),)}, "part.price_breaks[0].unit_price"),
        ({"mpn": "x" * 201}, "part.mpn"),
        ({"manufacturer": "a\tb"}, "part.manufacturer"),
        ({"datasheet_url": "ftp://example.com"}, "part.datasheet_url"),
        ({"datasheet_url": "https://example.com/a b"}, "part.datasheet_url"),
        ({"datasheet_url": "https://[broken"}, "part.datasheet_url"),
    ],
)
def test_a_violation_has_the_path_of_its_field(change: dict[str, Any], path: str) -> None:
    assert path in violations("R1", replace(SOUND, **change))


@pytest.mark.parametrize("part_id", ["", "a b", "ä", "x" * 65, "a/b", "a\n"])
def test_a_malformed_part_id_is_rejected(part_id: str) -> None:
    assert violations(part_id, SOUND) == ["part.part_id"]


def test_all_violations_are_reported_at_once() -> None:
    content = replace(SOUND, title="", mpn="x" * 201, price=Money(-1, "?"))

    assert violations("", content) == [
        "part.part_id",
        "part.title",
        "part.price.amount_minor",
        "part.price.currency",
        "part.mpn",
    ]


@given(st.integers(-(2**53) + 1, 2**53 - 1))
def test_a_whole_double_becomes_an_integer(number: int) -> None:
    scalar = canonical_scalar(float(number))

    assert (scalar, type(scalar)) == (number, int)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_keeps_its_value(number: float) -> None:
    assert canonical_scalar(number) == number


def test_booleans_are_not_numbers() -> None:
    assert canonical_scalar(value=True) is True
