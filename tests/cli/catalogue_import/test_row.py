"""One row of the file becomes one part."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.catalogue_import.errors import RowRejected
from cli.catalogue_import.numbers import NumberFormat
from cli.catalogue_import.part_message import update_mask
from cli.catalogue_import.row import UNCATEGORISED, catalogue_part
from cli.catalogue_import.treatments import MEANINGS, Notes, Treatment

CLEAN: dict[str, Any] = {
    "sku": "C1",
    "mpn": "M-1",
    "manufacturer": "Maker",
    "title": "Maker M-1",
    "description": "A part",
    "category": ["Passives", "Resistors"],
    "specs": {"Ohm": 5},
    "image": "https://example.org/a.jpg",
    "datasheet": "http://example.org/a.pdf",
    "prices": [[1, 0.5]],
    "stock": 7,
}


def treated(notes: Notes) -> set[Treatment]:
    return {note.treatment for note in notes}


def test_a_clean_row_is_taken_as_it_is() -> None:
    part, notes = catalogue_part(CLEAN)

    assert treated(notes) == set()
    assert (part.sku, part.title, part.category, part.stock) == ("C1", "Maker M-1", ("Passives", "Resistors"), 7)
    assert part.datasheet == "http://example.org/a.pdf"


def test_a_row_with_nothing_but_a_sku_is_a_part() -> None:
    part, notes = catalogue_part({"sku": "C1"})

    assert (part.title, part.description, part.category, part.stock) == ("C1", "", UNCATEGORISED, None)
    assert treated(notes) == {
        Treatment.TITLE_FROM_SKU,
        Treatment.MPN_MISSING,
        Treatment.MANUFACTURER_MISSING,
        Treatment.DESCRIPTION_MISSING,
        Treatment.CATEGORY_MISSING,
        Treatment.SPECS_MISSING,
        Treatment.IMAGE_MISSING,
        Treatment.DATASHEET_MISSING,
        Treatment.PRICE_MISSING,
        Treatment.STOCK_MISSING,
    }


def test_nan_is_what_many_exporters_write_for_nothing() -> None:
    """A title of NaN became the title `nan` of a published part."""
    nothing = float("nan")

    part, notes = catalogue_part({**dict.fromkeys(CLEAN, nothing), "sku": "C1"})

    assert (part.title, part.description, part.category, part.stock) == ("C1", "", UNCATEGORISED, None)
    assert treated(notes) == treated(catalogue_part({"sku": "C1"})[1])


@pytest.mark.parametrize("field", ["sku", "title", "mpn", "manufacturer", "description"])
def test_a_number_made_a_text_is_counted(field: str) -> None:
    part, notes = catalogue_part({**CLEAN, field: 4148})

    assert getattr(part, field) == "4148"
    assert [(note.treatment, note.field, note.before) for note in notes] == [(Treatment.TEXT_FROM_NUMBER, field, 4148)]


def test_a_category_as_text_is_no_dirt_but_blanks_inside_a_name_are_counted() -> None:
    clean, nothing = catalogue_part({**CLEAN, "category": "Passives > Resistors"})
    blanks, notes = catalogue_part({**CLEAN, "category": ["Passives", "Chip  Resistors"]})

    assert (clean.category, treated(nothing)) == (("Passives", "Resistors"), set())
    assert (blanks.category, treated(notes)) == (("Passives", "Chip Resistors"), {Treatment.SPACE_TRIMMED})


def test_a_missing_title_is_the_part_number() -> None:
    part, notes = catalogue_part({**CLEAN, "title": " "})

    assert part.title == "M-1"
    assert treated(notes) == {Treatment.TITLE_FROM_MPN}


def test_a_key_without_a_field_is_noted() -> None:
    _, notes = catalogue_part({**CLEAN, "joints": 2})

    assert [(note.treatment, note.field, note.before) for note in notes] == [(Treatment.KEY_NOT_IMPORTED, "joints", 2)]


@pytest.mark.parametrize(
    ("image", "kept", "treatment"),
    [
        ("http://example.org/a.jpg", "https://example.org/a.jpg", Treatment.IMAGE_MADE_HTTPS),
        ("javascript:alert(1)", "", Treatment.IMAGE_REFUSED),
        ("//example.org/a.jpg", "", Treatment.IMAGE_REFUSED),
        ("https://", "", Treatment.IMAGE_REFUSED),
        ("https://example.org/a b", "", Treatment.IMAGE_REFUSED),
        ("/\\example.org/a.jpg", "", Treatment.IMAGE_REFUSED),
        ("/img/a b.jpg", "", Treatment.IMAGE_REFUSED),
    ],
)
def test_picture_addresses_are_https_or_left_out(image: str, kept: str, treatment: Treatment) -> None:
    part, notes = catalogue_part({**CLEAN, "image": image})

    assert part.image == kept
    assert treated(notes) == {treatment}


def test_a_picture_on_this_site_is_kept() -> None:
    assert catalogue_part({**CLEAN, "image": "/images/a.jpg"})[0].image == "/images/a.jpg"


def test_a_data_sheet_that_is_no_address_is_left_out() -> None:
    part, notes = catalogue_part({**CLEAN, "datasheet": "1"})

    assert part.datasheet == ""
    assert treated(notes) == {Treatment.DATASHEET_REFUSED}


@pytest.mark.parametrize("stock", ["7", " 7 ", "7.0", 7.0])
def test_stock_may_be_written_in_other_ways(stock: object) -> None:
    part, notes = catalogue_part({**CLEAN, "stock": stock})

    assert part.stock == 7
    assert treated(notes) == {Treatment.STOCK_FROM_TEXT}


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"sku": None}, "sku", "MISSING"),
        ({"sku": "a b"}, "sku", "MALFORMED"),
        ({"sku": "x" * 65}, "sku", "MALFORMED"),
        ({"title": "x" * 301}, "title", "TOO_LONG"),
        ({"mpn": "x" * 201}, "mpn", "TOO_LONG"),
        ({"category": 5}, "category", "NOT_A_LIST"),
        ({"category": ["a", ""]}, "category", "NAME_EMPTY"),
        ({"category": ["a"] * 11}, "category", "TOO_MANY"),
        ({"stock": -1}, "stock", "NOT_A_COUNT"),
        ({"stock": 1.5}, "stock", "NOT_A_COUNT"),
        ({"stock": True}, "stock", "NOT_A_COUNT"),
        ({"stock": "many"}, "stock", "NOT_A_COUNT"),
        ({"stock": 9_000_000_000_000_001}, "stock", "NOT_A_COUNT"),
    ],
)
def test_what_cannot_be_put_right_is_rejected(change: dict[str, object], field: str, reason: str) -> None:
    with pytest.raises(RowRejected) as caught:
        catalogue_part({**CLEAN, **change})

    assert (caught.value.field, caught.value.reason) == (field, reason)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            key: st.none()
            | st.booleans()
            | st.integers()
            | st.floats()
            | st.text(max_size=20)
            | st.lists(st.text(max_size=4))
            for key in CLEAN
        },
    )
)
def test_any_row_is_a_part_or_a_reject_with_a_reason(values: dict[str, object]) -> None:
    try:
        part, notes = catalogue_part(values)
    except RowRejected as fault:
        outcome = f"{fault.reason}{fault.message}"
    else:
        outcome = part.title
        assert all(part.category)
        assert treated(notes) <= MEANINGS.keys()

    assert outcome


def test_every_treatment_has_a_meaning() -> None:
    assert set(Treatment) == set(MEANINGS)


@pytest.mark.parametrize("stock", ["1.000", "12.500", "999.999", " 2.000 "])
def test_a_point_before_three_digits_may_be_of_thousands(stock: str) -> None:
    """`1.000` became 1 where 1,000 was meant, and `12.500` on the next line was rejected."""
    with pytest.raises(RowRejected) as caught:
        catalogue_part({**CLEAN, "stock": stock})

    assert (caught.value.field, caught.value.reason) == ("stock", "NOT_A_COUNT")
    assert "--thousands" in caught.value.message


@pytest.mark.parametrize(
    ("stock", "numbers", "expected"),
    [
        ("12.0", NumberFormat(), 12),
        ("0.000", NumberFormat(), 0),
        ("12.00", NumberFormat(), 12),
        ("1.000", NumberFormat(decimal="."), 1),
        ("1.000", NumberFormat(thousands="."), 1000),
        ("1.234.567,0", NumberFormat(thousands="."), 1_234_567),
        ("1000,0", NumberFormat(decimal=","), 1000),
        ("1,000", NumberFormat(thousands=","), 1000),
        ("1'000.0", NumberFormat(thousands="'"), 1000),
        ("12 000", NumberFormat(thousands=" "), 12_000),
        ("12000", NumberFormat(thousands="."), 12_000),
    ],
)
def test_a_number_is_read_as_the_file_writes_it(stock: str, numbers: NumberFormat, expected: int) -> None:
    assert catalogue_part({**CLEAN, "stock": stock}, numbers)[0].stock == expected


@pytest.mark.parametrize(
    ("stock", "numbers"),
    [
        ("12.5", NumberFormat()),
        ("1,000", NumberFormat()),
        ("12.0", NumberFormat(thousands=".")),
        ("1.00.000", NumberFormat(thousands=".")),
        ("1.000", NumberFormat(decimal=",")),
        ("\u0661\u0662", NumberFormat()),
        (".", NumberFormat()),
        ("1e3", NumberFormat()),
        ("-1", NumberFormat()),
    ],
)
def test_what_is_no_count_in_that_format_is_rejected(stock: str, numbers: NumberFormat) -> None:
    with pytest.raises(RowRejected) as caught:
        catalogue_part({**CLEAN, "stock": stock}, numbers)

    assert caught.value.reason == "NOT_A_COUNT"


def test_a_row_says_which_keys_it_has_and_which_are_empty() -> None:
    part, _ = catalogue_part(
        {"sku": "C1", "title": "T", "description": "", "prices": [], "specs": {}, "image": "ftp://x", "mpn": None}
    )

    assert part.given == {"sku", "title"}
    assert part.emptied == {"description", "prices", "specs", "mpn"}  # and the picture is neither: it is left out


def test_a_row_with_stock_alone_decides_nothing_else() -> None:
    part, _ = catalogue_part({"sku": "C1", "stock": "35"})

    assert part.given == {"sku", "stock"}
    assert update_mask(part, clear_empty=True).paths == []


def test_empty_cells_decide_on_request_except_about_what_no_part_is_without() -> None:
    part, _ = catalogue_part(dict.fromkeys(CLEAN, "") | {"sku": "C1"})

    assert update_mask(part, clear_empty=False).paths == []
    assert set(update_mask(part, clear_empty=True).paths) == {
        *("description", "specifications", "images", "price", "price_breaks", "mpn", "manufacturer", "datasheet_url")
    }
