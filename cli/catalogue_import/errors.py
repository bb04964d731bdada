"""Everything that can go wrong with a catalogue file.

CatalogueError
├── FileUnreadable      the file as a whole: missing, not gzip, no header, cut off
├── RowRejected         one row; the others go on
├── SeparatorsEqual     --decimal and --thousands are one sign
└── ImportStopped       the services refused to go on
"""

from __future__ import annotations

import math

from stack.errors import StackError

SHOWN_VALUE_CHARACTERS = 200  # a reject shows enough of the value to find it, not a megabyte of it


class CatalogueError(StackError):
    """Root of this package's errors."""


class FileUnreadable(CatalogueError):
    """The file cannot be read at all, or not to its end."""


class SeparatorsEqual(CatalogueError):
    """`--decimal` and `--thousands` name the same sign."""


class ImportStopped(CatalogueError):
    """A service refused a whole batch, or stayed away longer than the import waits."""


class RowRejected(CatalogueError):
    """One row cannot be imported: `field` is at fault for `reason`, a constant name; `value` is what stood there."""

    def __init__(self, field: str, reason: str, message: str, value: object = None) -> None:
        super().__init__(message)
        self.field = field
        self.reason = reason
        self.message = message
        self.value = shown(value)


def shown(value: object) -> str | int | float | bool | None:
    """Return a value as a reject shows it: numbers as they are, everything else as a text of bounded length."""
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    try:
        text = value if isinstance(value, str) else repr(value)
    except RecursionError:
        text = f"a deeply nested {type(value).__name__}"
    return text if len(text) <= SHOWN_VALUE_CHARACTERS else text[:SHOWN_VALUE_CHARACTERS] + "…"
