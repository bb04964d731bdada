"""Text that PostgreSQL cannot store: refused at the border, once for every field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from chassis.errors import FieldViolation
from edge.errors import RuleBroken

if TYPE_CHECKING:
    from litestar import Request

_IN_ADDRESS: Final = b"%00"
_IN_JSON: Final = b"\\u0000"  # a raw NUL is no JSON


async def refuse_nul(request: Request[Any, Any, Any]) -> None:
    """Hook before each request: NUL characters in the address are refused."""
    if _IN_ADDRESS in request.scope["query_string"] or "\x00" in request.scope["path"]:
        raise _nul("")


def check_json_text(raw: bytes) -> None:
    """Refuse a body with a NUL character in it."""
    if _IN_JSON in raw:
        raise _nul("")


def _nul(field: str) -> RuleBroken:
    message = "Text must not contain NUL characters."
    return RuleBroken(message, fields=[FieldViolation(field, message)])
