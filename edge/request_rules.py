"""What is checked of every request of the API, after its guards and before its body is decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from litestar.exceptions import InternalServerException

from chassis.errors import FieldViolation
from edge.errors import MalformedRequest
from edge.identity.browser_sessions import SAFE_METHODS
from edge.json_bodies import check_media_type
from edge.numbers import refuse_other_numbers
from edge.text_rules import refuse_control_characters

if TYPE_CHECKING:
    from litestar import Request


async def check_request(request: Request[Any, Any, Any]) -> None:
    """Raise ``RuleBroken`` for an address that cannot be read, ``MediaTypeUnsupported`` for a body of no or other type.

    A page of any origin can send a body without a type, unasked: to take it for JSON would make every write reachable.
    """
    refuse_control_characters(request)
    refuse_other_numbers(request)
    if request.method in SAFE_METHODS:
        return
    if request.headers.get("content-length", "0").strip() != "0":
        check_media_type(request.headers)
        await _read_body(request)
    elif "transfer-encoding" in request.headers and await _read_body(request):
        check_media_type(request.headers)


async def _read_body(request: Request[Any, Any, Any]) -> bytes:
    """Return the body, which the request keeps. The framework takes what ends too early for a fault of ours."""
    try:
        return await request.body()
    except InternalServerException:
        message = "The body ended before its length, or its chunks cannot be read."
        raise MalformedRequest(message, fields=[FieldViolation("", message)]) from None
