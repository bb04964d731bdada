"""Errors that arise at the HTTP border itself; everything else comes from ``chassis.errors``.

::

    EdgeError
    ├── MalformedRequest      unreadable or of the wrong type: 400
    ├── RuleBroken            readable, but against a documented rule: 422
    ├── MediaTypeUnsupported  a body that is not plain JSON: 415
    ├── BodyTimeout           the body did not arrive in time: 408
    ├── BodyTooLarge          the body is longer than any request needs: 413
    ├── UriTooLong            the path and the query are longer than any request needs: 414
    ├── HeadersTooLarge       so are the header fields: 431
    ├── TooManyRequests       the caller's own limit is reached: 429
    ├── TooManyConnections    the address has as many requests open as it may: 429
    ├── CsrfTokenMissing      a browser's request lacks the proof of its page: 403
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
    """An answer that is refused before any service is asked."""

    status: ClassVar[int] = 400
    reason: ClassVar[str] = "FIELD_INVALID"
    title: ClassVar[str] = "Malformed request"

    def __init__(
        self, detail: str, *, fields: Sequence[FieldViolation] = (), retry_after_seconds: float | None = None
    ) -> None:
        """Hold what a person is told and, per field, what is wrong."""
        super().__init__(detail)
        self.detail = detail
        self.fields = tuple(fields)
        self.retry_after_seconds = retry_after_seconds


class MalformedRequest(EdgeError):
    """The request cannot be read: broken JSON, a wrong type, an unknown or missing field."""


class RuleBroken(EdgeError):
    """The request can be read and breaks a rule that the interface documents."""

    status = 422
    title = "A field violates a rule"


class MediaTypeUnsupported(EdgeError):
    """The body says that it is something other than JSON, or is compressed."""

    status = 415
    reason = "MEDIA_TYPE_UNSUPPORTED"
    title = "The body must be JSON"


class BodyTimeout(EdgeError):
    """The body did not arrive in time, or its connection was needed for another request."""

    status = 408
    reason = "BODY_TIMEOUT"
    title = "The body did not arrive in time"


class BodyTooLarge(EdgeError):
    """The body is longer than any request needs."""

    status = 413
    reason = "BODY_TOO_LARGE"
    title = "The body is too large"


class UriTooLong(EdgeError):
    """The path and the query together are longer than any request needs."""

    status = 414
    reason = "URI_TOO_LONG"
    title = "URI too long"


class HeadersTooLarge(EdgeError):
    """The header fields together are longer than any request needs."""

    status = 431
    reason = "HEADERS_TOO_LARGE"
    title = "The header fields are too large"


class TooManyRequests(EdgeError):
    """The caller has used up its own limit."""

    status = 429
    reason = "OVERLOADED"
    title = "Too many requests"


class TooManyConnections(EdgeError):
    """The address has as many requests open as it may, and none of them waits for its body."""

    status = 429
    reason = "OVERLOADED"
    title = "Too many connections"


class CsrfTokenMissing(EdgeError):
    """A request with a session cookie does not prove that it comes from our own page."""

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
