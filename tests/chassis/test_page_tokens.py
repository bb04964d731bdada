"""Page tokens hold a position, for one list and its filters only."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import PageTokenInvalid
from chassis.page_tokens import PageTokenCodec

TOKENS = PageTokenCodec()
FILTERS = {"category": "resistors", "sort": "title"}
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
INSTANTS = st.datetimes(datetime(1970, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - the strategy adds the zone


@given(TEXTS, st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False), INSTANTS)
def test_a_token_returns_the_position_it_was_made_from(text: str, number: int, rank: float, at: datetime) -> None:
    token = TOKENS.encode(FILTERS, text, number, rank, at)

    assert TOKENS.decode(token, FILTERS, (str, int, float, datetime)) == (text, number, rank, at)


def test_no_token_is_the_first_page() -> None:
    assert TOKENS.decode("", FILTERS, (str,)) is None


@pytest.mark.parametrize("filters", [{}, {**FILTERS, "sort": "part_id"}, {**FILTERS, "in_stock": None}])
def test_a_token_is_invalid_for_other_filters(filters: dict[str, object]) -> None:
    with pytest.raises(PageTokenInvalid):
        TOKENS.decode(TOKENS.encode(FILTERS, "a"), filters, (str,))


@pytest.mark.parametrize("key", [b"", b"another key"])
def test_a_token_is_invalid_under_another_key(key: bytes) -> None:
    with pytest.raises(PageTokenInvalid):
        PageTokenCodec(key).decode(PageTokenCodec(b"key").encode(FILTERS, "a"), FILTERS, (str,))


@given(st.text(min_size=1, max_size=60))
def test_any_other_text_is_invalid(token: str) -> None:
    with pytest.raises(PageTokenInvalid):
        TOKENS.decode(token, FILTERS, (str,))


@pytest.mark.parametrize(
    ("item", "kind"),
    [
        ("1", int),
        (1, str),
        (1, float),
        (True, int),
        (None, str),
        (2**63, int),
        (float("nan"), float),
        (-1, datetime),
        (10**18, datetime),
        ("\0", str),
    ],
)
def test_a_forged_item_that_the_database_cannot_store_is_invalid(item: object, kind: type) -> None:
    token = TOKENS.encode(FILTERS, item)  # type: ignore[arg-type]

    with pytest.raises(PageTokenInvalid):
        TOKENS.decode(token, FILTERS, (kind,))


def test_a_token_with_more_or_fewer_items_is_invalid() -> None:
    token = TOKENS.encode(FILTERS, "a", "b")

    for kinds in ((str,), (str, str, str)):
        with pytest.raises(PageTokenInvalid):
            TOKENS.decode(token, FILTERS, kinds)
