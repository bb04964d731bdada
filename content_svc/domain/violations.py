"""Invalid fields, and the rules for plain text that several kinds of field share."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from chassis.errors import FieldInvalid, FieldViolation

# Path below the resource, and what is wrong.
Violations: TypeAlias = Iterator[tuple[str, str]]

# Characters that no text may contain: those of chassis.text_rules, as a test checks. Texts of several lines may contain
# line breaks and tabs.
_BEYOND_C0 = "\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufff9-\ufffb\ufffe\uffff"
CONTROL = re.compile(f"[\x00-\x1f{_BEYOND_C0}]")
CONTROL_BUT_LINES = re.compile(f"[\x00-\x08\x0b\x0c\x0e-\x1f{_BEYOND_C0}]")


def field_invalid(violations: Sequence[FieldViolation]) -> FieldInvalid:
    """Return the error for one or more fields."""
    first = violations[0]
    more = f" ({len(violations) - 1} more)" if len(violations) > 1 else ""
    return FieldInvalid(f"{first.path}: {first.message}{more}", fields=violations)


def raise_any(violations: Violations, prefix: str) -> None:
    """Raise ``FieldInvalid`` for all violations, if there are any, each path below ``prefix``."""
    found = [FieldViolation(prefix + path, message) for path, message in violations]
    if found:
        raise field_invalid(found)


def line_violations(text: str, path: str, longest: int, *, required: bool = False) -> Violations:
    """Yield the violations of a text of one line."""
    if required and not text.strip():
        yield path, "must not be empty"
    if len(text) > longest:
        yield path, f"must have at most {longest} characters; it has {len(text)}"
    if CONTROL.search(text):
        yield path, "must be one line without control characters"


def lines_violations(text: str, path: str, longest: int) -> Violations:
    """Yield the violations of a text of several lines."""
    if len(text) > longest:
        yield path, f"must have at most {longest} characters; it has {len(text)}"
    if CONTROL_BUT_LINES.search(text):
        yield path, "must not contain control characters"
