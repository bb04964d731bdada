"""Text that is nobody's: NUL, which PostgreSQL cannot store, and control characters in addresses."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from chassis.errors import FieldViolation
from edge.errors import RuleBroken

if TYPE_CHECKING:
    from litestar import Request

_IN_ADDRESS: Final = b"%00"
# A raw NUL is no JSON; an escaped one is, unless the backslash before it is escaped itself.
_IN_JSON: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def refuse_nul(request: Request[Any, Any, Any]) -> None:
    """NUL in the query and control characters in the path are refused.

    A path of ours has none, and ``$`` in a pattern lets a line feed at the end pass.
    """
    if _IN_ADDRESS in request.scope["query_string"]:
        raise _nul("")
    if not request.scope["path"].isprintable():
        message = "An address must not contain control characters."
        raise RuleBroken(message, fields=[FieldViolation("", message)])


def check_json_text(raw: bytes) -> None:
    """Refuse a body with a NUL character in it."""
    if _IN_JSON.search(raw):
        raise _nul("")


def _nul(field: str) -> RuleBroken:
    message = "Text must not contain NUL characters."
    return RuleBroken(message, fields=[FieldViolation(field, message)])
