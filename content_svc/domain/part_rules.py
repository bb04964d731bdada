"""The rules for the fields of a part, checked before a write. The database has them too, as constraints."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from content_svc.domain.category import CATEGORY_ID
from content_svc.domain.part import Image, PartContent, Scalar
from content_svc.domain.violations import (
    CONTROL,
    CONTROL_BUT_LINES,
    Violations,
    line_violations,
    lines_violations,
    raise_any,
)

MAX_TITLE = 300
MAX_SUMMARY = 2_000
MAX_DESCRIPTION = 100_000
MAX_SPECIFICATIONS = 200
MAX_SPECIFICATION_NAME = 200
MAX_SPECIFICATION_TEXT = 2_000
MAX_IMAGES = 20
MAX_PRICE_BREAKS = 50
MAX_URL = 2_000
MAX_ALT = 500
MAX_SHORT_TEXT = 200  # mpn, manufacturer
MAX_AMOUNT_MINOR = 9_000_000_000_000_000
MAX_PIXELS = 2**31 - 1
MAX_QUANTITY = 2**53 - 1  # JSON numbers are exact up to here
# Up to here a double distinguishes every whole number from the next one.
EXACT_INTEGER = 2**53

_PART_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_UNIT_PRICE = re.compile(r"[0-9]{1,12}([.][0-9]{1,9})?")
_SITE_PATH = re.compile(r"/([^/\\\s][^\s]*)?")
_SPACE = re.compile(r"\s")


def canonical_scalar(value: Scalar) -> Scalar:
    """Return a value as it is stored: a whole number as ``int``, because JSON and protobuf do not tell 5.0 from 5."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    try:
        number = float(value)
    except OverflowError:  # written by SQL, beyond what JSON readers can hold
        return str(value)
    return int(number) if number.is_integer() and abs(number) < EXACT_INTEGER else number


def canonical_specifications(values: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Return specifications as they are stored."""
    return {name: canonical_scalar(value) for name, value in values.items()}


def canonical(content: PartContent) -> PartContent:
    """Return the content as it is stored: one-line texts trimmed, numbers in one form."""
    return replace(
        content,
        title=content.title.strip(),
        mpn=content.mpn.strip(),
        manufacturer=content.manufacturer.strip(),
        datasheet_url=content.datasheet_url.strip(),
        specifications=canonical_specifications(content.specifications),
    )


def validate_part(part_id: str, content: PartContent, *, prefix: str = "part.") -> None:
    """Raise ``FieldInvalid`` with the path of every invalid field."""
    raise_any(_part_violations(part_id, content), prefix)


def _part_violations(part_id: str, content: PartContent) -> Violations:
    if not _PART_ID.fullmatch(part_id):
        yield "part_id", "must be 1-64 of A-Z a-z 0-9 . _ -"
    if not CATEGORY_ID.fullmatch(content.category_id):
        yield "category_id", "must name a category: 1-128 of a-z 0-9 -"
    yield from line_violations(content.title, "title", MAX_TITLE, required=True)
    yield from lines_violations(content.summary, "summary", MAX_SUMMARY)
    yield from lines_violations(content.description, "description", MAX_DESCRIPTION)
    yield from _specifications(content.specifications)
    yield from _images(content.images)
    yield from _prices(content)
    yield from line_violations(content.mpn, "mpn", MAX_SHORT_TEXT)
    yield from line_violations(content.manufacturer, "manufacturer", MAX_SHORT_TEXT)
    if content.datasheet_url and not _is_web_address(content.datasheet_url, {"http", "https"}):
        yield "datasheet_url", f"must be an http or https address of at most {MAX_URL} characters"


def _specifications(specifications: Mapping[str, object]) -> Violations:
    if len(specifications) > MAX_SPECIFICATIONS:
        yield "specifications", f"must have at most {MAX_SPECIFICATIONS} entries; it has {len(specifications)}"
    first_spellings: dict[str, str] = {}
    for name, value in specifications.items():
        path = f'specifications["{name[:MAX_SPECIFICATION_NAME]}"]'
        if not name.strip() or len(name) > MAX_SPECIFICATION_NAME or CONTROL_BUT_LINES.search(name):
            yield path, f"must have a name of 1-{MAX_SPECIFICATION_NAME} characters"
        # `é` in one code point or in two: the two names look the same (Unicode canonical equivalence).
        if first_spellings.setdefault(unicodedata.normalize("NFC", name), name) != name:
            yield path, "has the name of another one, in another Unicode form"
        if isinstance(value, str):
            yield from lines_violations(value, path, MAX_SPECIFICATION_TEXT)
        elif value is not None and (not isinstance(value, bool | int | float) or not math.isfinite(value)):
            yield path, "must be text, a finite number, true, false or null"


def _images(images: Sequence[Image]) -> Violations:
    if len(images) > MAX_IMAGES:
        yield "images", f"must be at most {MAX_IMAGES}; there are {len(images)}"
    for index, image in enumerate(images):
        path = f"images[{index}]"
        on_site = len(image.url) <= MAX_URL and _SITE_PATH.fullmatch(image.url) and not CONTROL.search(image.url)
        if not on_site and not _is_web_address(image.url, {"https"}):
            yield (
                f"{path}.url",
                f"must be an https address, or a path that begins with one /, up to {MAX_URL} characters",
            )
        yield from line_violations(image.alt, f"{path}.alt", MAX_ALT)
        for name, pixels in (("width", image.width), ("height", image.height)):
            if not 0 <= pixels <= MAX_PIXELS:
                yield f"{path}.{name}", "must not be negative"


def _is_web_address(url: str, schemes: Collection[str]) -> bool:
    if len(url) > MAX_URL or _SPACE.search(url) or CONTROL.search(url):
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return url.startswith(tuple(f"{scheme}://" for scheme in schemes)) and bool(parts.hostname)


def _prices(content: PartContent) -> Violations:
    for path, money in (("price", content.price), ("cost", content.cost)):
        if money is not None and not 0 <= money.amount_minor <= MAX_AMOUNT_MINOR:
            yield f"{path}.amount_minor", f"must be 0 to {MAX_AMOUNT_MINOR}"
        if money is not None and not _CURRENCY.fullmatch(money.currency):
            yield f"{path}.currency", "must be three capital letters (ISO 4217)"
    if content.price and content.cost and content.price.currency != content.cost.currency:
        yield "cost.currency", "must be the currency of the price"
    if content.price_breaks and content.price is None:
        yield "price_breaks", "need a price, whose currency is theirs"
    if len(content.price_breaks) > MAX_PRICE_BREAKS:
        yield "price_breaks", f"must be at most {MAX_PRICE_BREAKS}; there are {len(content.price_breaks)}"
    before = 0
    for index, step in enumerate(content.price_breaks):
        if not before < step.from_quantity <= MAX_QUANTITY:
            yield f"price_breaks[{index}].from_quantity", "must be at least 1 and rise from one to the next"
        if not _UNIT_PRICE.fullmatch(step.unit_price):
            yield f"price_breaks[{index}].unit_price", "must be a plain decimal number, for example 0.0137"
        before = step.from_quantity
