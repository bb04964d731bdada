"""Puts a text right without changing what a reader sees of it."""

from __future__ import annotations

import html
import math
import re

import nh3

from chassis.text_rules import CONTROL_BUT_LINES
from cli.catalogue_import.errors import RowRejected
from cli.catalogue_import.treatments import Notes, Treatment

# What the services refuse in a text of several lines.
UNPRINTABLE = CONTROL_BUT_LINES
# Only these count as HTML. `A<B,A=B,A>B` is plain text of a comparator, though a browser would read it as an element.
HTML_ELEMENT = re.compile(
    r"</?(?:a|b|br|div|em|h[1-6]|hr|i|iframe|img|li|ol|p|pre|script|small|span|strong|style|sub|sup|svg|table|tbody|td|th|thead|tr|u|ul)"
    r"(?:\s[^<>]*|\s*/)?>|<!--",
    re.IGNORECASE,
)
LINE_ENDS = re.compile(r"[\t\r\n]+")
NEEDS_ESCAPE = re.compile(r"[<>&]")


def plain_text(value: object, field: str, longest: int, notes: Notes) -> str:
    """Return `value` as clean text of at most `longest` characters; a missing one as "".

    Raises RowRejected for other types, and for a text that is too long: nothing is cut.
    """
    if value is None:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        # A part number of digits only loses its quotes in many exports. What else it lost (12.50 is 12.5 by now)
        # nobody can tell, so it is counted.
        notes.add(Treatment.TEXT_FROM_NUMBER, field, value)
        value = str(value)
    if not isinstance(value, str):
        raise RowRejected(field, "NOT_TEXT", "must be a text", value)
    printable = UNPRINTABLE.sub("", value)
    if printable != value:
        notes.add(Treatment.CONTROL_CHARACTER_REMOVED, field, value.encode("utf-8", "backslashreplace").decode())
    trimmed = printable.strip()
    if trimmed and trimmed != printable:
        notes.add(Treatment.SPACE_TRIMMED, field, printable)
    if len(trimmed) > longest:
        raise RowRejected(field, "TOO_LONG", f"{len(trimmed)} characters, at most {longest}", trimmed)
    return trimmed


def one_line(value: object, field: str, longest: int, notes: Notes) -> str:
    """Return `value` as `plain_text` does, its lines and tabs made spaces."""
    text = plain_text(value, field, longest, notes)
    line = LINE_ENDS.sub(" ", text)
    if line != text:
        notes.add(Treatment.SPACE_TRIMMED, field, text)
    return line


def html_text(value: object, field: str, longest: int, notes: Notes) -> str:
    """Return `value` as safe HTML: plain text is escaped, HTML sanitised. Treated again, the answer stays as it is."""
    text = plain_text(value, field, longest, notes)
    if not NEEDS_ESCAPE.search(text):
        return text
    if HTML_ELEMENT.search(text):
        safe = nh3.clean(text)
        if safe != text:
            notes.add(Treatment.DESCRIPTION_SANITISED, field, text)
    else:
        safe = html.escape(html.unescape(text), quote=False)
        if safe != text:
            notes.add(Treatment.DESCRIPTION_ESCAPED, field, text)
    if len(safe) > longest:
        raise RowRejected(field, "TOO_LONG", f"{len(safe)} characters once escaped, at most {longest}", text)
    return safe
