"""``Partstream-Owner-Key``: the secret that authenticates a guest's cart."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from chassis.errors import FieldViolation
from edge.http.errors import MalformedRequest, RuleBroken
from edge.http.idempotency import HEADER
from edge.http.request_context import current_request_context

if TYPE_CHECKING:
    from litestar import Request

OWNER_KEY: Final = "Partstream-Owner-Key"
_FORM: Final = re.compile(r"[!-~]{32,200}")


def owner_key_of(request: Request[Any, Any, Any]) -> str:
    """Return the key that a request sends; empty without one.

    Raise ``RuleBroken`` for one that could be guessed. Raise ``MalformedRequest`` for a guest's ``Idempotency-Key``
    without one: two guests may use the same, and only the key of a cart distinguishes them.
    """
    key = request.headers.get(OWNER_KEY)
    if key is None:
        if current_request_context().caller.is_anonymous and HEADER in request.headers:
            message = f"An {HEADER} without a token requires a {OWNER_KEY}: generate one, 32 random characters or more."
            raise MalformedRequest(message, fields=[FieldViolation(OWNER_KEY, "is required")])
        return ""
    if not _FORM.fullmatch(key):
        message = "must have 32 to 200 visible ASCII characters"
        detail = f"The {OWNER_KEY} {message}."
        raise RuleBroken(detail, fields=[FieldViolation(OWNER_KEY, message)])
    return key
