"""Every way in which a row is corrected, with the line that the summary and docs/import.md show for it.

A row is never changed without one of these being counted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Treatment(StrEnum):
    """What was done to a value. The value is the name in the summary; MEANINGS says it in words."""

    CONTROL_CHARACTER_REMOVED = "control_character_removed"
    SPACE_TRIMMED = "space_trimmed"
    TEXT_FROM_NUMBER = "text_from_number"
    KEY_NOT_IMPORTED = "key_not_imported"
    TITLE_FROM_MPN = "title_from_mpn"
    TITLE_FROM_SKU = "title_from_sku"
    MPN_MISSING = "mpn_missing"
    MANUFACTURER_MISSING = "manufacturer_missing"
    DESCRIPTION_MISSING = "description_missing"
    DESCRIPTION_ESCAPED = "description_escaped"
    DESCRIPTION_SANITISED = "description_sanitised"
    CATEGORY_MISSING = "category_missing"
    CATEGORY_SPELLING_MERGED = "category_spelling_merged"
    SPECS_MISSING = "specs_missing"
    SPEC_NAME_SPACED = "spec_name_spaced"
    SPEC_NAME_MERGED = "spec_name_merged"
    SPEC_NAME_NUMBERED = "spec_name_numbered"
    SPEC_FLATTENED = "spec_flattened"
    SPEC_LIST_JOINED = "spec_list_joined"
    SPEC_PLACEHOLDER = "spec_placeholder"
    SPEC_NUMBER_ROUNDED = "spec_number_rounded"
    SPEC_NUMBER_AS_TEXT = "spec_number_as_text"
    IMAGE_MISSING = "image_missing"
    IMAGE_MADE_HTTPS = "image_made_https"
    IMAGE_REFUSED = "image_refused"
    DATASHEET_MISSING = "datasheet_missing"
    DATASHEET_REFUSED = "datasheet_refused"
    PRICE_MISSING = "price_missing"
    PRICE_RAISED_TO_MINOR_UNIT = "price_raised_to_minor_unit"
    PRICE_BREAKS_EQUAL_KEPT = "price_breaks_equal_kept"
    PRICE_BREAKS_SORTED = "price_breaks_sorted"
    PRICE_BREAK_REPEATED = "price_break_repeated"
    PRICE_BREAK_ROUNDED = "price_break_rounded"
    STOCK_MISSING = "stock_missing"
    STOCK_FROM_TEXT = "stock_from_text"


# A key without a value: what a new part then has is in MEANINGS, and a part that exists keeps its own.
MISSING = frozenset(
    {
        Treatment.TITLE_FROM_MPN,
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
)
# A value that is left out: a part that exists keeps its own.
REFUSED = frozenset({Treatment.IMAGE_REFUSED, Treatment.DATASHEET_REFUSED})

MEANINGS: dict[Treatment, str] = {
    Treatment.CONTROL_CHARACTER_REMOVED: "control characters or broken surrogates taken out of a text",
    Treatment.SPACE_TRIMMED: "white space at the ends of a text taken off; in a name, runs of it made one space",
    Treatment.TEXT_FROM_NUMBER: "a number where a text belongs: written as text",
    Treatment.KEY_NOT_IMPORTED: "a key that the catalogue has no field for",
    Treatment.TITLE_FROM_MPN: "no title: a new part has its manufacturer part number",
    Treatment.TITLE_FROM_SKU: "no title and no part number: a new part has its SKU",
    Treatment.MPN_MISSING: "no manufacturer part number: a new part has none",
    Treatment.MANUFACTURER_MISSING: "no manufacturer: a new part has none",
    Treatment.DESCRIPTION_MISSING: "no description: a new part has none",
    Treatment.DESCRIPTION_ESCAPED: "plain text with <, > or &: escaped, shown as written",
    Treatment.DESCRIPTION_SANITISED: "HTML in the description: unsafe parts taken out",
    Treatment.CATEGORY_MISSING: "no category: a new part is put under Uncategorised",
    Treatment.CATEGORY_SPELLING_MERGED: "category met before in another case, spacing or width: first spelling used",
    Treatment.SPECS_MISSING: "no specifications: a new part has none",
    Treatment.SPEC_NAME_SPACED: "white space in a specification name collapsed",
    Treatment.SPEC_NAME_MERGED: "two names that differ by case or space with one value: kept once",
    Treatment.SPEC_NAME_NUMBERED: "two names that differ by case or space with two values: the second numbered (2)",
    Treatment.SPEC_FLATTENED: "an object as value: one entry `name / key` per member",
    Treatment.SPEC_LIST_JOINED: "a list as value: joined with commas",
    Treatment.SPEC_PLACEHOLDER: "a placeholder as value: null, the name kept",
    Treatment.SPEC_NUMBER_ROUNDED: "noise of binary fractions: rounded to 12 significant digits",
    Treatment.SPEC_NUMBER_AS_TEXT: "an integer beyond 2^53: kept exactly, as text",
    Treatment.IMAGE_MISSING: "no picture: a new part has none",
    Treatment.IMAGE_MADE_HTTPS: "picture address with http:// made https://",
    Treatment.IMAGE_REFUSED: "picture address that is not a web address: left out",
    Treatment.DATASHEET_MISSING: "no data sheet: a new part has none",
    Treatment.DATASHEET_REFUSED: "data sheet address that is not a web address: left out",
    Treatment.PRICE_MISSING: "no price: a new part has none",
    Treatment.PRICE_RAISED_TO_MINOR_UNIT: "a price that rounds to nothing: one minor unit shown, exact in the breaks",
    Treatment.PRICE_BREAKS_EQUAL_KEPT: "price breaks with equal prices: kept as given",
    Treatment.PRICE_BREAKS_SORTED: "price breaks put in order of quantity",
    Treatment.PRICE_BREAK_REPEATED: "the same price break twice: kept once",
    Treatment.PRICE_BREAK_ROUNDED: "a price with more than 9 decimals: rounded half up",
    Treatment.STOCK_MISSING: "no stock number: no stock level created",
    Treatment.STOCK_FROM_TEXT: "stock or reorder point as text or with decimals of 0: parsed as an integer",
}


@dataclass(frozen=True, slots=True)
class Note:
    """One treatment of one value: where (`field`), what (`treatment`), and what stood there."""

    treatment: Treatment
    field: str
    before: object = None


@dataclass(slots=True)
class Notes:
    """The notes of one row, in the order in which they were made."""

    made: list[Note] = field(default_factory=list)

    def add(self, treatment: Treatment, at: str, before: object = None) -> None:
        """Note one treatment at a field."""
        self.made.append(Note(treatment, at, before))

    def __iter__(self) -> Iterator[Note]:
        return iter(self.made)


class Tally:
    """How often each treatment happened, as rows touched and as values touched."""

    def __init__(self) -> None:
        self.rows: Counter[Treatment] = Counter()
        self.values: Counter[Treatment] = Counter()
        self.keys_not_imported: Counter[str] = Counter()

    def count(self, notes: Notes) -> None:
        """Count the notes of one row."""
        self.rows.update({note.treatment for note in notes})
        self.values.update(note.treatment for note in notes)
        self.keys_not_imported.update(note.field for note in notes if note.treatment is Treatment.KEY_NOT_IMPORTED)
