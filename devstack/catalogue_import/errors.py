"""Everything that can go wrong with a catalogue file.

ImportFault
├── FileUnreadable      the file as a whole: missing, not gzip, no header, cut off
├── RowRejected         one row; the others go on
└── ImportStopped       the services refused to go on
"""

from __future__ import annotations

SHOWN_VALUE_CHARACTERS = 200  # a reject shows enough of the value to find it, not a megabyte of it


class ImportFault(Exception):
    """Root of this package's errors."""


class FileUnreadable(ImportFault):
    """The file cannot be read at all, or not to its end."""


class ImportStopped(ImportFault):
    """A service refused a whole batch, or stayed away longer than the import waits."""


class RowRejected(ImportFault):
    """One row cannot be imported: `field` is at fault for `reason` (a constant name), and `value` is what stood there."""

    def __init__(self, field: str, reason: str, message: str, value: object = None) -> None:
        super().__init__(message)
        self.field = field
        self.reason = reason
        self.message = message
        self.value = _shown(value)


def _shown(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= SHOWN_VALUE_CHARACTERS else text[:SHOWN_VALUE_CHARACTERS] + "…"
