"""Numbers in text cells, which a decimal point and a thousands separator make ambiguous.

`1.000` is 1 where a point separates decimals, and 1,000 where it separates thousands: unless an option says which, such
a cell is rejected. `12.0` and `0.125` can be read in one way only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

AMBIGUOUS = re.compile(r"[1-9][0-9]{0,2}\.[0-9]{3}")


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """How a file writes numbers in text. Empty = not given; the decimal sign is then a point."""

    decimal: str = ""
    thousands: str = ""

    @property
    def decimal_sign(self) -> str:
        """The sign before decimals."""
        return self.decimal or ("," if self.thousands == "." else ".")

    def is_ambiguous(self, text: str) -> bool:
        """Tell a text that is one number with decimals and another one with thousands."""
        return not self.decimal and not self.thousands and AMBIGUOUS.fullmatch(text.strip()) is not None

    def plain(self, text: str) -> str | None:
        """Return the number in ASCII digits with a decimal point; None when the text is none in this format."""
        grouped = rf"[0-9]{{1,3}}(?:{re.escape(self.thousands)}[0-9]{{3}})+|" if self.thousands else ""
        pattern = rf"([+-]?)({grouped}[0-9]*)(?:{re.escape(self.decimal_sign)}([0-9]*))?([eE][+-]?[0-9]{{1,3}})?"
        match = re.fullmatch(pattern, text.strip(), re.ASCII)
        if match is None or self.is_ambiguous(text):
            return None
        sign, whole, decimals, exponent = match.groups()
        if not whole and not decimals:
            return None
        digits = whole.replace(self.thousands, "") if self.thousands else whole
        return f"{sign}{digits or '0'}.{decimals or '0'}{exponent or ''}"


AS_USUAL = NumberFormat()


def how_to_say(text: str) -> str:
    """Return what a reject of an ambiguous number advises."""
    return f"{text.strip()!r} is one number with decimals and another with thousands: say --decimal or --thousands"
