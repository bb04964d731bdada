"""Errors of the HTTP layer; all others come from ``chassis.errors``.

::

    EdgeError
    ├── MalformedRequest      unreadable or of the wrong type: 400
    ├── RuleBroken            readable, but violates a documented rule: 422
    ├── MediaTypeUnsupported  a body that is not plain JSON: 415
    ├── BodyTimeout           the body did not arrive in time: 408
    ├── BodyTooLarge          the body exceeds the size limit: 413
    ├── UriTooLong            the path and the query exceed the size limit: 414
    ├── HeadersTooLarge       the header fields exceed the size limit: 431
    ├── TooManyRequests       the rate limit of the caller is reached: 429
    ├── TooManyConnections    the address has reached its limit of open requests: 429
    ├── CsrfTokenMissing      a browser's request has no valid CSRF token: 403
    ├── RegistrationClosed    customers cannot register here: 403
    ├── Missing               no such user or session: 404
    ├── Taken                 the name is in use: 409
    └── LastAdministrator     no enabled administrator would be left: 409
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chassis.errors import FieldViolation


class EdgeError(Exception):
    """A request that is rejected before any service is called."""

    status: ClassVar[int] = 400
    reason: ClassVar[str] = "FIELD_INVALID"
    title: ClassVar[str] = "Malformed request"

    def __init__(
        self, detail: str, *, fields: Sequence[FieldViolation] = (), retry_after_seconds: float | None = None
    ) -> None:
        """``detail`` is for people; ``fields`` states what is wrong with each field."""
        super().__init__(detail)
        self.detail = detail
        self.fields = tuple(fields)
        self.retry_after_seconds = retry_after_seconds


class MalformedRequest(EdgeError):
    """The request cannot be read: invalid JSON, a wrong type, an unknown or missing field."""


class RuleBroken(EdgeError):
    """The request can be read but violates a documented rule."""

    status = 422
    title = "A field violates a rule"


class MediaTypeUnsupported(EdgeError):
    """The body is declared as something other than JSON, or is compressed."""

    status = 415
    reason = "MEDIA_TYPE_UNSUPPORTED"
    title = "The body must be JSON"


class BodyTimeout(EdgeError):
    """The body did not arrive in time, or its connection was needed for another request."""

    status = 408
    reason = "BODY_TIMEOUT"
    title = "The body did not arrive in time"


class BodyTooLarge(EdgeError):
    """The body exceeds the size limit."""

    status = 413
    reason = "BODY_TOO_LARGE"
    title = "The body is too large"


class UriTooLong(EdgeError):
    """The path and the query together exceed the size limit."""

    status = 414
    reason = "URI_TOO_LONG"
    title = "URI too long"


class HeadersTooLarge(EdgeError):
    """The header fields together exceed the size limit."""

    status = 431
    reason = "HEADERS_TOO_LARGE"
    title = "The header fields are too large"


class TooManyRequests(EdgeError):
    """The caller has reached its rate limit."""

    status = 429
    reason = "OVERLOADED"
    title = "Too many requests"


class TooManyConnections(EdgeError):
    """The address has reached its limit of open requests, and none of them waits for its body."""

    status = 429
    reason = "OVERLOADED"
    title = "Too many connections"


class CsrfTokenMissing(EdgeError):
    """A request with a session cookie has no valid CSRF token."""

    status = 403
    reason = "CSRF_TOKEN_MISSING"
    title = "CSRF token missing or invalid"


class RegistrationClosed(EdgeError):
    """Customers cannot register here."""

    status = 403
    reason = "REGISTRATION_CLOSED"
    title = "Registration is closed"


class Missing(EdgeError):
    """There is no such user or session."""

    status = 404
    reason = "NOT_FOUND"
    title = "Not found"


class Taken(EdgeError):
    """The name is in use."""

    status = 409
    reason = "NAME_TAKEN"
    title = "Name already taken"


class LastAdministrator(EdgeError):
    """No enabled administrator would be left."""

    status = 409
    reason = "LAST_ADMINISTRATOR"
    title = "The last administrator must remain"
