"""Convert errors to RFC 9457 problem documents; the only place that maps reasons to HTTP statuses."""

from __future__ import annotations

import logging
import math
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec
from litestar import Response
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException, ValidationException

from chassis.errors import FieldViolation, InternalFault, PartstreamError
from chassis.store_errors import translated
from edge.http.errors import EdgeError, MalformedRequest, RuleBroken
from edge.http.methods import allow
from edge.http.preconditions import version_tag
from edge.http.request_context import current_request_context
from edge.views.current import current_view
from edge.views.problem import FieldProblem, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from litestar import Request

logger = logging.getLogger("edge.http.problems")

PROBLEM_JSON: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:partstream:problem:"
RETRY_AFTER_SECONDS: Final = 1.0  # when a temporary error has no time of its own

# reason → (status, title). Has every reason of `ErrorReason`, which a test checks.
STATUS_BY_REASON: Final[dict[str, tuple[int, str]]] = {
    "FIELD_INVALID": (422, "A field violates a rule"),
    "VERSION_CONFLICT": (409, "Version conflict"),
    "VERSION_REQUIRED": (428, "The expected version is missing"),
    "INSUFFICIENT_STOCK": (409, "Not enough stock"),
    "REQUEST_ID_REUSED": (422, "The idempotency key was used with another body"),
    "PART_NOT_FOUND": (404, "Part not found"),
    "PART_ARCHIVED": (409, "The part is archived"),
    "PART_EXISTS": (409, "Part already exists"),
    "HAS_DEPENDENTS": (409, "Other resources depend on it"),
    "TOKEN_MISSING": (401, "Authentication required"),
    "TOKEN_INVALID": (401, "Invalid token"),
    "TOKEN_EXPIRED": (401, "Token expired"),
    "TOKEN_REVOKED": (401, "Token revoked"),
    "PERMISSION_MISSING": (403, "Permission denied"),
    "OVERLOADED": (503, "Overloaded"),
    "STORE_UNAVAILABLE": (503, "Database unavailable"),
    "DEADLINE": (504, "Deadline exceeded"),
    "REVISION_NOT_YET_SERVED": (503, "Revision not yet available"),
    "CURSOR_MALFORMED": (400, "Malformed revision token"),
    "CURSOR_FROM_FUTURE": (400, "The revision does not exist"),
    "CURSOR_COMPACTED": (400, "Revision compacted"),
    "EPOCH_CHANGED": (400, "The revision belongs to an earlier epoch"),
    "WATCHER_TOO_SLOW": (503, "Reader too slow"),
    "DRAINING": (503, "Server shutting down"),
    "PAGE_TOKEN_INVALID": (400, "Invalid page token"),
    "INTERNAL": (500, "Internal error"),
    "LOCATION_NOT_FOUND": (404, "Location not found"),
    "LOCATION_ARCHIVED": (409, "The location is archived"),
    "LOCATION_EXISTS": (409, "Location already exists"),
    "RESERVATION_NOT_FOUND": (404, "Reservation not found"),
    "RESERVATION_NOT_HELD": (409, "The reservation is no longer held"),
    "RESERVATION_LIMIT": (409, "Reservation limit reached"),
    "MOVEMENT_NOT_FOUND": (404, "Movement not found"),
    "MOVEMENT_NOT_REVERSIBLE": (409, "The movement cannot be reversed"),
    "CATEGORY_NOT_FOUND": (404, "Category not found"),
    "CATEGORY_EXISTS": (409, "Category already exists"),
    "VERSION_NOT_FOUND": (404, "Version not found"),
    "ILLEGAL_STATE": (409, "Illegal state"),
    "BATCH_ABORTED": (409, "The batch was not applied"),
    "REVOCATION_UNKNOWN": (503, "Revocations unknown: writes are rejected"),
    "FOLLOWER_NOT_FOUND": (404, "Follower not found"),
    "POSITION_NOT_SENT": (409, "Position not sent to the follower yet"),
}

# Status that Litestar raises by itself → reason.
REASON_BY_STATUS: Final[dict[int, str]] = {
    400: "MALFORMED",
    401: "TOKEN_MISSING",
    403: "PERMISSION_MISSING",
    404: "ROUTE_NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    413: "BODY_TOO_LARGE",
    415: "MEDIA_TYPE_UNSUPPORTED",
    429: "OVERLOADED",
    503: "OVERLOADED",
}


def is_rule(message: str) -> bool:
    """Return whether a msgspec message reports a violated constraint (422), not a wrong type or missing field (400)."""
    return message.startswith("Expected") and ", got `" not in message


def from_validation_messages(messages: Sequence[FieldViolation]) -> EdgeError:
    """Return ``RuleBroken`` (422) when every message is a violated constraint, else ``MalformedRequest`` (400)."""
    detail = "; ".join(f"{item.path}: {item.message}" if item.path else item.message for item in messages)
    kind = RuleBroken if messages and all(is_rule(item.message) for item in messages) else MalformedRequest
    return kind(detail, fields=messages)


def problem_of(error: Exception) -> Problem:
    """Return the problem document of an error."""
    if isinstance(error, PartstreamError):
        return _of_partstream(error)
    if isinstance(error, EdgeError):
        return _of_edge(error)
    if isinstance(error, ValidationException):
        return _of_edge(from_validation_messages(_litestar_fields(error)))
    if isinstance(error, HTTPException):
        return _of_http(error)
    if (by_store := translated(error)) is not None:
        return _of_partstream(by_store)
    return _of_partstream(InternalFault("Internal error. Report it with the request_id."))


def problem_response(error: Exception) -> Response[bytes]:
    """Return the problem document as a response, with the headers that its status requires."""
    problem = problem_of(error)
    headers = {"Cache-Control": "no-store"}
    if problem.status in {429, 503}:
        known = translated(error) or error
        delay = getattr(known, "retry_after_seconds", None) or RETRY_AFTER_SECONDS
        headers["Retry-After"] = str(max(1, math.ceil(delay)))
    if challenge := _challenge(problem):
        headers["WWW-Authenticate"] = challenge
    if isinstance(error, MethodNotAllowedException):
        headers["Allow"] = allow((error.headers or {}).get("allow", "").split(", "))
    return Response(msgspec.json.encode(problem), status_code=problem.status, media_type=PROBLEM_JSON, headers=headers)


def handle_exception(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Handle every exception of a route; log internal errors, whose details no client receives."""
    response = problem_response(error)
    if not isinstance(error, PartstreamError | EdgeError | HTTPException):
        request.app.state.store.met(error)
    if response.status_code == HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("unhandled error on %s %s", request.method, request.url.path, exc_info=error)
    return response


def _challenge(problem: Problem) -> str:
    """Return the value of ``WWW-Authenticate`` (RFC 6750, 3.1); without an error where no token was sent."""
    with_token = current_request_context().with_credentials
    challenge = 'Bearer realm="partstream"'
    if problem.status == HTTPStatus.UNAUTHORIZED:
        described = f', error="invalid_token", error_description="{problem.title}"'
        return challenge + described if with_token and problem.reason != "TOKEN_MISSING" else challenge
    if problem.reason == "PERMISSION_MISSING" and with_token:
        permission = problem.metadata.get("permission", "") if problem.metadata else ""
        return f'{challenge}, error="insufficient_scope"' + (f', scope="{permission}"' if permission else "")
    return ""


def _document(reason: str, status: int, title: str, detail: str, errors: Sequence[FieldViolation]) -> Problem:
    return Problem(
        type=TYPE_PREFIX + reason.lower().replace("_", "-"),
        title=title,
        status=status,
        detail=detail,
        reason=reason,
        request_id=current_request_context().request_id,
        errors=[FieldProblem(item.path, item.message) for item in errors],
    )


def _of_partstream(error: PartstreamError) -> Problem:
    status, title = STATUS_BY_REASON.get(error.reason, (500, "Internal error"))
    if error.reason == "VERSION_CONFLICT":
        status = current_request_context().conflict_status
    fields = [FieldViolation(item.path.removeprefix("part."), item.message) for item in error.fields]
    problem = _document(error.reason, status, title, error.message, [*fields, *error.preconditions])
    problem.metadata = _facts(error.metadata) or msgspec.UNSET
    problem.changed_by = error.metadata.get("changed_by", msgspec.UNSET)
    problem.changed_at = error.metadata.get("changed_at", msgspec.UNSET)
    if error.current is not None:
        problem.current = current_view(error.current)
    return problem


def _facts(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the metadata of an error; with the tag of the current version when a precondition failed."""
    facts = dict(metadata)
    epoch = facts.pop("epoch", "")
    if epoch and "current_version" in facts:
        facts["current_etag"] = f'"{version_tag(int(facts["current_version"]), UUID(epoch))}"'
    return facts


def _of_edge(error: EdgeError) -> Problem:
    return _document(error.reason, error.status, error.title, error.detail, error.fields)


def _of_http(error: HTTPException) -> Problem:
    status = error.status_code
    reason = REASON_BY_STATUS.get(status, "INTERNAL" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "MALFORMED")
    detail = "No route has this path." if isinstance(error, NotFoundException) else error.detail
    if reason == "INTERNAL":
        detail = "Internal error. Report it with the request_id."
    return _document(reason, status, HTTPStatus(status).phrase, detail, ())


def _litestar_fields(error: ValidationException) -> list[FieldViolation]:
    extra = error.extra if isinstance(error.extra, list) else []
    found = [_litestar_field(str(item.get("key", "")), str(item.get("message", ""))) for item in extra]
    return found or [FieldViolation("", error.detail)]


def _litestar_field(key: str, message: str) -> FieldViolation:
    """Return the violation; the key ``data`` is the body, which is only reported when it is missing."""
    return FieldViolation("", "A JSON body is required.") if key == "data" else FieldViolation(key, message)
