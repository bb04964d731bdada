"""Map the header ``Idempotency-Key`` to the ``request_id`` of the services."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from chassis.errors import FieldViolation
from edge.http.errors import MalformedRequest
from edge.http.request_context import current_request_context

if TYPE_CHECKING:
    from litestar import Request

HEADER = "Idempotency-Key"
MAX_LENGTH = 200

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "partstream:idempotency-key")


def request_id_for(request: Request[Any, Any, Any]) -> str:
    """Return the ``request_id`` of a write: the key itself when it is a UUID, else derived from key and user.

    Without a key a random one is generated, so that a retry between edge and service still counts once.
    """
    key = request.headers.get(HEADER)
    if key is None:
        return str(uuid.uuid4())
    if not 1 <= len(key) <= MAX_LENGTH:
        message = f"1 to {MAX_LENGTH} characters"
        detail = f"The {HEADER} must have {message}."
        raise MalformedRequest(detail, fields=[FieldViolation(HEADER, message)])
    try:
        return str(uuid.UUID(key))
    except ValueError:
        return str(uuid.uuid5(_NAMESPACE, f"{current_request_context().caller.user_id}\n{key}"))
