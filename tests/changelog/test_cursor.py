"""Cursors decode to their positions, and any other text is rejected."""

import base64
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from changelog import cursor as cursors
from changelog.cursor import Position
from chassis.errors import CursorMalformed

positions = st.builds(
    Position, st.sampled_from(["inventory", "content"]), st.uuids(), st.integers(min_value=0, max_value=2**63 - 1)
)


@given(st.lists(positions, min_size=1, max_size=2, unique_by=lambda item: item.log))
def test_an_encoded_cursor_decodes_to_its_positions(given_positions: list[Position]) -> None:
    text = cursors.encode(*given_positions)

    assert {item.log: item for item in given_positions} == cursors.decode(text)


@given(positions, st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_a_damaged_cursor_is_rejected(position: Position, place: int, change: int) -> None:
    raw = bytearray(base64.urlsafe_b64decode(cursors.encode(position) + "==="))
    raw[place % len(raw)] ^= change

    with pytest.raises(CursorMalformed):
        cursors.decode(base64.urlsafe_b64encode(raw).decode().rstrip("="))


@given(st.text())
def test_any_other_text_is_rejected(text: str) -> None:
    if text:
        with pytest.raises(CursorMalformed):
            cursors.decode(text)


@given(st.uuids(), st.lists(st.integers(min_value=0, max_value=2**62), min_size=1, max_size=5))
def test_merging_keeps_the_latest_position_of_each_log(epoch: uuid.UUID, revisions: list[int]) -> None:
    texts = [cursors.encode(Position("inventory", epoch, revision)) for revision in revisions]

    merged = cursors.decode(cursors.merge(*texts, cursors.encode(Position("content", epoch, 3))))

    assert merged["inventory"].revision == max(revisions)
    assert merged["content"].revision == 3


def test_the_empty_cursor_holds_no_position() -> None:
    assert cursors.decode("") == {}
    assert cursors.merge("", "") == ""
