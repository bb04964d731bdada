"""What is checked of every request of the API, after its guards and before its body is decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge.identity.browser_sessions import SAFE_METHODS
from edge.json_bodies import check_media_type
from edge.text_rules import refuse_nul

if TYPE_CHECKING:
    from litestar import Request


async def check_request(request: Request[Any, Any, Any]) -> None:
    """Raise ``RuleBroken`` for an address that cannot be read, ``MediaTypeUnsupported`` for a body of no or other type.

    A page of any origin can send a body without a type, unasked: to take it for JSON would make every write reachable.
    """
    refuse_nul(request)
    if request.method not in SAFE_METHODS and await _has_body(request):
        check_media_type(request.headers)


async def _has_body(request: Request[Any, Any, Any]) -> bool:
    """A length is given before a body; only chunks must be read to know."""
    length = request.headers.get("content-length")
    if length is not None:
        return length.strip() != "0"
    return "transfer-encoding" in request.headers and bool(await request.body())
