"""Page tokens."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import PageTokenInvalid
from content_svc.domain.listing import PagePosition, PartListing, page_position, page_token

LISTING = PartListing(category_id="resistors", query="10k", order="title")
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@given(TEXTS, TEXTS)
def test_a_token_says_where_the_page_before_ended(key: str, part_id: str) -> None:
    position = PagePosition(key, part_id)

    assert page_position(LISTING, page_token(LISTING, position)) == position


@pytest.mark.parametrize(
    "other",
    [
        replace(LISTING, category_id=""),
        replace(LISTING, query="20k"),
        replace(LISTING, status="draft"),
        replace(LISTING, order="part_id"),
    ],
)
def test_a_token_is_for_the_same_filters_only(other: PartListing) -> None:
    token = page_token(LISTING, PagePosition("a", "b"))

    with pytest.raises(PageTokenInvalid):
        page_position(other, token)


@given(st.text(min_size=1, max_size=60))
def test_any_other_text_is_refused(token: str) -> None:
    with pytest.raises(PageTokenInvalid):
        page_position(LISTING, token)


@pytest.mark.parametrize("key", [True, None, 1.5, 2**70, "1", -2])
def test_a_forged_key_is_refused(key: object) -> None:
    listing = replace(LISTING, order="price_asc")
    token = page_token(listing, PagePosition(key, "b"))  # type: ignore[arg-type]

    with pytest.raises(PageTokenInvalid):
        page_position(listing, token)
