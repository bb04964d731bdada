"""Texts that are put right."""

import nh3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.catalogue_import.errors import RowRejected
from cli.catalogue_import.text import html_text, plain_text
from cli.catalogue_import.treatments import Notes, Treatment


def treated(notes: Notes) -> list[Treatment]:
    return [note.treatment for note in notes]


def test_a_clean_text_is_left_alone() -> None:
    notes = Notes()

    assert plain_text("-40℃~+125℃ 日本", "title", 300, notes) == "-40℃~+125℃ 日本"
    assert treated(notes) == []


def test_what_postgresql_refuses_is_taken_out() -> None:
    notes = Notes()

    assert plain_text(" a\x00b\ud800c ", "title", 300, notes) == "abc"
    assert treated(notes) == [Treatment.CONTROL_CHARACTER_REMOVED, Treatment.SPACE_TRIMMED]


def test_a_number_is_read_as_text() -> None:
    assert plain_text(7805, "mpn", 200, Notes()) == "7805"


@pytest.mark.parametrize("value", [True, [], {}])
def test_other_types_are_rejected(value: object) -> None:
    with pytest.raises(RowRejected) as caught:
        plain_text(value, "title", 300, Notes())

    assert (caught.value.field, caught.value.reason) == ("title", "NOT_TEXT")


def test_a_text_that_is_too_long_is_rejected_and_not_cut() -> None:
    with pytest.raises(RowRejected) as caught:
        plain_text("x" * 301, "title", 300, Notes())

    assert caught.value.reason == "TOO_LONG"


def test_a_comparator_is_not_an_element() -> None:
    notes = Notes()

    assert html_text("4 A<B,A=B,A>B R&D", "description", 1000, notes) == "4 A&lt;B,A=B,A&gt;B R&amp;D"
    assert treated(notes) == [Treatment.DESCRIPTION_ESCAPED]


def test_unsafe_html_is_taken_out() -> None:
    notes = Notes()

    safe = html_text('<p onclick="x()">Fine</p><script>alert(1)</script>', "description", 1000, notes)

    assert safe == "<p>Fine</p>"
    assert treated(notes) == [Treatment.DESCRIPTION_SANITISED]


def test_what_was_escaped_before_is_not_escaped_twice() -> None:
    notes = Notes()

    assert html_text("5 &lt; 6 &amp; 7", "description", 1000, notes) == "5 &lt; 6 &amp; 7"
    assert treated(notes) == []


@given(st.text(alphabet=st.sampled_from("ab<>&/;p= \"'!-"), max_size=40))
def test_treated_again_nothing_changes_and_nothing_is_unsafe(text: str) -> None:
    once = html_text(text, "description", 1000, Notes())
    again = Notes()

    assert html_text(once, "description", 1000, again) == once
    assert treated(again) == []
    assert nh3.clean(once) == once
