"""Specifications become an object of scalars."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.catalogue_import.errors import RowRejected
from cli.catalogue_import.specifications import specifications
from cli.catalogue_import.treatments import Notes, Treatment

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["-", "NaN", "nan"]),
    lambda inner: (
        st.lists(st.none() | st.integers() | st.text(max_size=3), max_size=3)
        | st.dictionaries(st.text(min_size=1, max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
names = st.text(alphabet=st.sampled_from("aA bB/(2)"), min_size=1, max_size=6).filter(str.strip)


def treated(notes: Notes) -> list[Treatment]:
    return [note.treatment for note in notes]


def test_scalars_stay_as_they_are_and_in_order() -> None:
    notes = Notes()

    found = specifications({"B": "x", "A": 1, "C": 0.45, "D": True, "E": None}, notes)

    assert list(found.items()) == [("B", "x"), ("A", 1), ("C", 0.45), ("D", True), ("E", None)]
    assert treated(notes) == []


def test_an_object_becomes_one_entry_per_member() -> None:
    notes = Notes()

    found = specifications({"Category": {"id1": 450, "name": {"en": "LED"}}}, notes)

    assert found == {"Category / id1": 450, "Category / name / en": "LED"}
    assert treated(notes) == [Treatment.SPEC_FLATTENED, Treatment.SPEC_FLATTENED]


def test_a_list_is_joined() -> None:
    assert specifications({"Modes": ["SPI", 2, None, True]}, Notes()) == {"Modes": "SPI, 2, -, true"}


@pytest.mark.parametrize("placeholder", ["-", "NaN", "nan", "", "  ", math.nan, math.inf, [], {}])
def test_a_placeholder_is_null_and_its_name_stays(placeholder: object) -> None:
    notes = Notes()

    assert specifications({"Voltage": placeholder}, notes) == {"Voltage": None}
    assert treated(notes) == [Treatment.SPEC_PLACEHOLDER]


def test_noise_of_binary_fractions_is_rounded_off() -> None:
    notes = Notes()

    assert specifications({"Current": 9.999999999999999e-06, "Tolerance": 0.05}, notes) == {
        "Current": 1e-05,
        "Tolerance": 0.05,
    }
    assert treated(notes) == [Treatment.SPEC_NUMBER_ROUNDED]


def test_an_integer_that_a_double_cannot_hold_is_kept_as_text() -> None:
    assert specifications({"Id": 2**53 + 1}, Notes()) == {"Id": "9007199254740993"}


def test_names_that_differ_by_case_or_space_are_merged_when_equal_and_numbered_when_not() -> None:
    notes = Notes()

    found = specifications({"Rating  (ac)": "5V", "Rating (AC)": "5V", "rating (ac)": "6V"}, notes)

    assert found == {"Rating (ac)": "5V", "rating (ac) (2)": "6V"}
    assert treated(notes) == [
        Treatment.SPEC_NAME_SPACED,
        Treatment.SPEC_NAME_MERGED,
        Treatment.SPEC_NAME_NUMBERED,
    ]


def test_true_is_not_one() -> None:
    """Python finds them equal, and `true` was merged into the `1` of a name in another case."""
    assert specifications({"Shielded": 1, "shielded": True}, Notes()) == {"Shielded": 1, "shielded (2)": True}


@pytest.mark.parametrize("nothing", [None, {}, [], ""])
def test_missing_specifications_are_noted(nothing: object) -> None:
    notes = Notes()

    assert specifications(nothing, notes) == {}
    assert treated(notes) == [Treatment.SPECS_MISSING]


def test_a_control_character_in_a_name_is_counted_as_that() -> None:
    notes = Notes()

    assert specifications({"Oh\0m": 5}, notes) == {"Ohm": 5}
    assert treated(notes) == [Treatment.CONTROL_CHARACTER_REMOVED]


@pytest.mark.parametrize(
    ("specs", "reason"),
    [
        ([1], "NOT_AN_OBJECT"),
        ({str(number): 1 for number in range(201)}, "TOO_MANY"),
        ({"x" * 201: 1}, "TOO_LONG"),
        ({" ": 1}, "NAME_EMPTY"),
        ({"a": [{"b": 1}]}, "NOT_A_SCALAR"),
    ],
)
def test_what_cannot_be_put_right_is_rejected(specs: object, reason: str) -> None:
    with pytest.raises(RowRejected) as caught:
        specifications(specs, Notes())

    assert caught.value.reason == reason


@given(st.dictionaries(names, values, min_size=1, max_size=6))
def test_the_answer_is_scalar_has_distinct_names_and_is_stable(specs: dict[str, object]) -> None:
    found = specifications(specs, Notes())
    again = Notes()

    assert all(value is None or isinstance(value, bool | int | float | str) for value in found.values())
    assert len({name.casefold() for name in found}) == len(found)
    assert specifications(found, again) == found or not found
    assert Treatment.SPEC_FLATTENED not in treated(again)
    assert Treatment.SPEC_NUMBER_ROUNDED not in treated(again)


def test_names_that_only_look_alike_are_one_name() -> None:
    """`Caf\u00e9` in one code point and in two are the same to a reader; both were kept."""
    notes = Notes()

    found = specifications({"Caf\u00e9": 1, "Cafe\u0301": 2, "5 \u00b5F": 1, "5 \u03bcF": 1}, notes)

    assert found == {"Caf\u00e9": 1, "Cafe\u0301 (2)": 2, "5 \u00b5F": 1}
    assert {note.treatment for note in notes} == {Treatment.SPEC_NAME_NUMBERED, Treatment.SPEC_NAME_MERGED}
