"""Check every request of the API after its guards and before its body is decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge.http.json_bodies import check_media_type
from edge.http.methods import SAFE_METHODS
from edge.http.numbers import reject_other_numbers
from edge.http.query_rules import check_query
from edge.http.text_rules import reject_control_characters

if TYPE_CHECKING:
    from litestar import Request


async def check_request(request: Request[Any, Any, Any]) -> None:
    """Raise an error for an invalid URL, ``MediaTypeUnsupported`` for a body that is not declared as JSON.

    A page of any origin can send a body without a type and without a preflight: accepting it would allow forged writes.
    """
    reject_control_characters(request)
    check_query(request)
    reject_other_numbers(request)
    if request.method in SAFE_METHODS:
        return
    has_length = request.headers.get("content-length", "0").strip() != "0"
    if has_length or ("transfer-encoding" in request.headers and await request.body()):
        check_media_type(request.headers)
