"""Turns one row of a catalogue file into a part that the services accept, noting everything that was put right."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cli.catalogue_import.errors import RowRejected
from cli.catalogue_import.numbers import AS_USUAL, NumberFormat, how_to_say
from cli.catalogue_import.prices import Prices, prices
from cli.catalogue_import.source import KNOWN_KEYS
from cli.catalogue_import.specifications import Scalar, specifications
from cli.catalogue_import.text import html_text, one_line, plain_text
from cli.catalogue_import.treatments import MISSING, REFUSED, Notes, Treatment

if TYPE_CHECKING:
    from collections.abc import Mapping

SKU = re.compile(r"[A-Za-z0-9._-]{1,64}")
SITE_PATH = re.compile(r"/([^/\\\s]\S*)?")  # as the content service has it: `//` and `/\\` lead to other sites
LONGEST_TITLE = 300
LONGEST_NAME = 200
LONGEST_DESCRIPTION = 100_000
LONGEST_ADDRESS = 2_000
MOST_STOCK = 9_000_000_000_000_000
DEEPEST_CATEGORY = 10
UNCATEGORISED = ("Uncategorised",)


@dataclass(frozen=True, slots=True)
class CataloguePart:
    """A part as it will be written. `category` has the names from the top; `stock` is None when the row has none."""

    sku: str
    title: str
    description: str
    category: tuple[str, ...]
    specifications: dict[str, Scalar]
    image: str
    datasheet: str
    prices: Prices
    stock: int | None
    mpn: str
    manufacturer: str
    # Keys with a value, and keys that are there without one; a key that the row lacks is in neither.
    given: frozenset[str] = frozenset()
    emptied: frozenset[str] = frozenset()


def catalogue_part(values: Mapping[str, Any], numbers: NumberFormat = AS_USUAL) -> tuple[CataloguePart, Notes]:
    """Return the part and what was put right. Raises RowRejected for what cannot be put right without guessing."""
    notes = Notes()
    values = {key: None if _is_nan(value) else value for key, value in values.items()}
    sku = _sku(values.get("sku"), notes)
    mpn = one_line(values.get("mpn"), "mpn", LONGEST_NAME, notes)
    part = CataloguePart(
        sku=sku,
        title=_title(values.get("title"), mpn, sku, notes),
        description=_description(values.get("description"), notes),
        category=_category(values.get("category"), notes),
        specifications=specifications(values.get("specs"), notes),
        image=_image(values.get("image"), notes),
        datasheet=_datasheet(values.get("datasheet"), notes),
        prices=prices(values.get("prices"), notes, numbers),
        stock=_stock(values.get("stock"), notes, numbers),
        mpn=mpn,
        manufacturer=one_line(values.get("manufacturer"), "manufacturer", LONGEST_NAME, notes),
    )
    for missing, treatment in ((mpn, Treatment.MPN_MISSING), (part.manufacturer, Treatment.MANUFACTURER_MISSING)):
        if not missing:
            notes.add(treatment, treatment.removesuffix("_missing"))
    for key in sorted(values.keys() - KNOWN_KEYS):
        notes.add(Treatment.KEY_NOT_IMPORTED, key, values[key])
    there = KNOWN_KEYS & values.keys()
    emptied = there & {note.field for note in notes if note.treatment in MISSING}
    refused = {note.field for note in notes if note.treatment in REFUSED}
    return replace(part, given=there - emptied - refused, emptied=emptied), notes


def _is_nan(value: object) -> bool:
    """Tell a missing value: many exporters write NaN for it."""
    return isinstance(value, float) and math.isnan(value)


def _sku(value: object, notes: Notes) -> str:
    if value is None or value == "":
        raise RowRejected("sku", "MISSING", "a row needs a sku")
    sku = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not SKU.fullmatch(sku):
        raise RowRejected("sku", "MALFORMED", "1-64 of A-Z a-z 0-9 . _ -", value)
    if not isinstance(value, str):
        notes.add(Treatment.TEXT_FROM_NUMBER, "sku", value)
    elif sku != value:
        notes.add(Treatment.SPACE_TRIMMED, "sku", value)
    return sku


def _title(value: object, mpn: str, sku: str, notes: Notes) -> str:
    title = one_line(value, "title", LONGEST_TITLE, notes)
    if title:
        return title
    notes.add(Treatment.TITLE_FROM_MPN if mpn else Treatment.TITLE_FROM_SKU, "title")
    return mpn or sku


def _description(value: object, notes: Notes) -> str:
    description = html_text(value, "description", LONGEST_DESCRIPTION, notes)
    if not description:
        notes.add(Treatment.DESCRIPTION_MISSING, "description")
    return description


def _category(value: object, notes: Notes) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [name.strip() for name in value.split(">")]
    if value is None or value == []:
        notes.add(Treatment.CATEGORY_MISSING, "category")
        return UNCATEGORISED
    if not isinstance(value, list):
        raise RowRejected("category", "NOT_A_LIST", "must be a list of names from the top, or `a > b`", value)
    if len(value) > DEEPEST_CATEGORY:
        raise RowRejected("category", "TOO_MANY", f"{len(value)} levels, at most {DEEPEST_CATEGORY}", value)
    names = tuple(_category_name(name, notes) for name in value)
    if not all(names):
        if not any(names):
            notes.add(Treatment.CATEGORY_MISSING, "category", value)
            return UNCATEGORISED
        raise RowRejected("category", "NAME_EMPTY", "a level of the category has no name", value)
    return names


def _category_name(value: object, notes: Notes) -> str:
    text = plain_text(value, "category", LONGEST_NAME, notes)
    name = " ".join(text.split())
    if name != text:
        notes.add(Treatment.SPACE_TRIMMED, "category", text)
    return name


def _image(value: object, notes: Notes) -> str:
    address = plain_text(value, "image", LONGEST_ADDRESS, notes)
    if not address:
        notes.add(Treatment.IMAGE_MISSING, "image")
        return ""
    if SITE_PATH.fullmatch(address):
        return address
    if not _is_web_address(address):
        notes.add(Treatment.IMAGE_REFUSED, "image", address)
        return ""
    if not address.startswith("https://"):
        notes.add(Treatment.IMAGE_MADE_HTTPS, "image", address)
        return "https://" + address.partition("://")[2]
    return address


def _datasheet(value: object, notes: Notes) -> str:
    address = plain_text(value, "datasheet", LONGEST_ADDRESS, notes)
    if not address:
        notes.add(Treatment.DATASHEET_MISSING, "datasheet")
        return ""
    if not _is_web_address(address):
        notes.add(Treatment.DATASHEET_REFUSED, "datasheet", address)
        return ""
    scheme, _, rest = address.partition("://")
    return f"{scheme.lower()}://{rest}"


def _is_web_address(address: str) -> bool:
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and not re.search(r"\s", address)


def _stock(value: object, notes: Notes, numbers: NumberFormat) -> int | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        notes.add(Treatment.STOCK_MISSING, "stock")
        return None
    number = value
    if isinstance(value, str):
        if numbers.is_ambiguous(value):
            raise RowRejected("stock", "NOT_A_COUNT", how_to_say(value), value)
        number = _whole(numbers.plain(value))
    elif isinstance(value, float) and value.is_integer():
        number = int(value)
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= MOST_STOCK:
        raise RowRejected("stock", "NOT_A_COUNT", f"a whole number from 0 to {MOST_STOCK}", value)
    if number is not value:
        notes.add(Treatment.STOCK_FROM_TEXT, "stock", value)
    return number


def _whole(plain: str | None) -> int | None:
    """Return a number whose decimals are all 0; None for any other."""
    match = re.fullmatch(r"([0-9]{1,20})\.0*", plain or "")
    return int(match[1]) if match else None
