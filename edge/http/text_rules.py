"""Reject control characters in the path, the query and the JSON body of a request."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_plus

import msgspec

from chassis.errors import FieldViolation
from chassis.text_rules import CONTROL, CONTROL_BUT_LINES, NO_CONTROL, ONE_LINE
from edge.http.errors import RuleBroken

if TYPE_CHECKING:
    from collections.abc import Iterator

    from litestar import Request

# Members whose texts, and those below them, may have tabs and line ends. Passwords have rules of their own.
_MULTI_LINE: Final = frozenset({"summary", "description", "specifications", "comment"})
_PASSWORDS: Final = frozenset({"password", "old_password", "new_password"})
_NUL: Final = re.compile("\0")
# Matches bodies that may have such a character: an escape in JSON, or its first bytes in UTF-8.
_SUSPECT: Final = re.compile(
    rb"\\[bfnrtu]|\x7f|\xc2[\x80-\x9f]|\xe2\x80[\xa8-\xae]|\xe2\x81[\xa6-\xa9]|\xef\xbf[\xb9-\xbb\xbe\xbf]"
)


def reject_control_characters(request: Request[Any, Any, Any]) -> None:
    """Reject control characters in the path and in the query.

    Needed because ``$`` in a pattern also matches before a line feed at the end.
    """
    if not request.scope["path"].isprintable():
        message = "An address must not contain control characters."
        raise RuleBroken(message, fields=[FieldViolation("", message)])
    query = request.scope["query_string"]
    if query and CONTROL.search(unquote_plus(query.decode(errors="replace"))):
        message = "A query must not contain control characters."
        raise RuleBroken(message, fields=[FieldViolation("", message)])


def check_json_text(raw: bytes) -> None:
    """Reject a body with a control character in one of its texts or names; invalid JSON is left to the decoder."""
    if not _SUSPECT.search(raw):
        return
    try:
        document = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    found = [FieldViolation(path, message) for path, message in _walk(document, "", lines=False, is_password=False)]
    if found:
        raise RuleBroken(f"{found[0].path}: {found[0].message}", fields=found)


def _walk(value: object, path: str, *, lines: bool, is_password: bool) -> Iterator[tuple[str, str]]:
    match value:
        case str():
            pattern = _NUL if is_password else CONTROL_BUT_LINES if lines else CONTROL
            if pattern.search(value):
                yield path, NO_CONTROL if lines or is_password else ONE_LINE
        case list():
            for position, item in enumerate(value):
                yield from _walk(item, f"{path}[{position}]", lines=lines, is_password=is_password)
        case dict():
            for name, item in value.items():
                below = f"{path}.{name}" if path else str(name)
                if (CONTROL_BUT_LINES if lines else CONTROL).search(name):
                    yield below, NO_CONTROL
                yield from _walk(
                    item, below, lines=lines or name in _MULTI_LINE, is_password=not path and name in _PASSWORDS
                )
        case _:
            pass
