"""Errors that cross process boundaries: a gRPC code, a reason and metadata, as data. Standard library only.

A service derives the errors of its domain from these in its own ``errors.py``. A client receives them as the class of
their gRPC code with the same ``reason``, so that it need not know the service's classes.

::

    PartstreamError
    ├── InvalidArgument: FieldInvalid, RequestIdReused, CursorMalformed, CursorFromFuture, PageTokenInvalid
    ├── NotFound: FollowerNotFound
    ├── AlreadyExists
    ├── FailedPrecondition: VersionRequired, HasDependents, IllegalState, BatchAborted, EpochChanged, PositionNotSent
    ├── Unauthenticated: TokenMissing, TokenInvalid, TokenExpired, TokenRevoked
    ├── Unavailable: StoreUnavailable, RevisionNotYetServed, Draining, RevocationUnknown
    ├── ResourceExhausted: Overloaded, WatcherTooSlow
    └── VersionConflict, PermissionMissing, CursorCompacted, DeadlinePassed, InternalFault
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

DOMAIN = "partstream"


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """A field that violates a rule: its path in the request (``adjustments[3].delta``) and what is wrong."""

    path: str
    message: str


@dataclass(frozen=True, slots=True)
class ResourceRef:
    """The resource an error concerns: its kind and its identifier."""

    kind: str
    name: str


class PartstreamError(Exception):
    """An error that a caller receives; ``message`` is for people, the rest for programs."""

    code: ClassVar[str] = "INTERNAL"
    reason: str = ""

    def __init__(
        self,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        fields: Sequence[FieldViolation] = (),
        resource: ResourceRef | None = None,
        preconditions: Sequence[FieldViolation] = (),
        retry_after_seconds: float | None = None,
        current: object | None = None,
        reason: str = "",
    ) -> None:
        """``current`` is the present resource, for conflicts; ``reason`` replaces the one of the class."""
        super().__init__(message)
        if reason:
            self.reason = reason
        self.message = message
        self.metadata = dict(metadata or {})
        self.fields = tuple(fields)
        self.resource = resource
        self.preconditions = tuple(preconditions)
        self.retry_after_seconds = retry_after_seconds
        self.current = current


class InvalidArgument(PartstreamError):
    """The request is invalid in any state: a retry fails too."""

    code = "INVALID_ARGUMENT"


class FieldInvalid(InvalidArgument):
    """A field is malformed or violates a rule."""

    reason = "FIELD_INVALID"


class RequestIdReused(InvalidArgument):
    """The request id was used before with another body."""

    reason = "REQUEST_ID_REUSED"


class CursorMalformed(InvalidArgument):
    """The cursor or revision token cannot be decoded."""

    reason = "CURSOR_MALFORMED"


class CursorFromFuture(InvalidArgument):
    """The cursor lies beyond the newest revision."""

    reason = "CURSOR_FROM_FUTURE"


class PageTokenInvalid(InvalidArgument):
    """The page token cannot be decoded, or was issued for other filters."""

    reason = "PAGE_TOKEN_INVALID"


class NotFound(PartstreamError):
    """The resource does not exist, or is not visible to the caller."""

    code = "NOT_FOUND"


class FollowerNotFound(NotFound):
    """No follower of this name is registered."""

    reason = "FOLLOWER_NOT_FOUND"


class AlreadyExists(PartstreamError):
    """The identifier is taken."""

    code = "ALREADY_EXISTS"


class FailedPrecondition(PartstreamError):
    """The present state does not allow the request."""

    code = "FAILED_PRECONDITION"


class VersionRequired(FailedPrecondition):
    """The write needs the version that it replaces."""

    reason = "VERSION_REQUIRED"


class HasDependents(FailedPrecondition):
    """Other resources depend on this one."""

    reason = "HAS_DEPENDENTS"


class IllegalState(FailedPrecondition):
    """The requested state cannot follow the present one."""

    reason = "ILLEGAL_STATE"


class BatchAborted(FailedPrecondition):
    """An item of an all-or-none batch failed."""

    reason = "BATCH_ABORTED"


class EpochChanged(FailedPrecondition):
    """The cursor belongs to another epoch of the change log."""

    reason = "EPOCH_CHANGED"


class PositionNotSent(FailedPrecondition):
    """The position is beyond the last one sent to the follower."""

    reason = "POSITION_NOT_SENT"


class VersionConflict(PartstreamError):
    """The expected version is stale; ``current`` is the present resource, metadata names who changed it and when."""

    code = "ABORTED"
    reason = "VERSION_CONFLICT"


ConcurrencyError = VersionConflict


class Unauthenticated(PartstreamError):
    """The caller cannot be identified."""

    code = "UNAUTHENTICATED"


class TokenMissing(Unauthenticated):
    """The call needs an access token and has none."""

    reason = "TOKEN_MISSING"


class TokenInvalid(Unauthenticated):
    """The token is malformed, has an invalid signature or another audience."""

    reason = "TOKEN_INVALID"


class TokenExpired(Unauthenticated):
    """The token is expired."""

    reason = "TOKEN_EXPIRED"


class TokenRevoked(Unauthenticated):
    """The token, its session or its signing key is revoked."""

    reason = "TOKEN_REVOKED"


class PermissionMissing(PartstreamError):
    """The caller lacks a permission."""

    code = "PERMISSION_DENIED"
    reason = "PERMISSION_MISSING"


class ResourceExhausted(PartstreamError):
    """A limit is reached."""

    code = "RESOURCE_EXHAUSTED"


class Overloaded(ResourceExhausted):
    """A queue is full or a rate limit is reached; retry later."""

    reason = "OVERLOADED"


class WatcherTooSlow(ResourceExhausted):
    """The watcher does not read fast enough; it resumes from its last cursor."""

    reason = "WATCHER_TOO_SLOW"


class Unavailable(PartstreamError):
    """A dependency does not respond; an idempotent call can be retried."""

    code = "UNAVAILABLE"


class StoreUnavailable(Unavailable):
    """The database is unavailable."""

    reason = "STORE_UNAVAILABLE"


class RevisionNotYetServed(Unavailable):
    """This server has not reached the requested revision yet."""

    reason = "REVISION_NOT_YET_SERVED"


class Draining(Unavailable):
    """The server shuts down; other replicas serve the call."""

    reason = "DRAINING"


class RevocationUnknown(Unavailable):
    """The revocation list is out of date, so writes are rejected."""

    reason = "REVOCATION_UNKNOWN"


class CursorCompacted(PartstreamError):
    """Entries after the cursor are compacted."""

    code = "OUT_OF_RANGE"
    reason = "CURSOR_COMPACTED"


class DeadlinePassed(PartstreamError):
    """The deadline is exceeded."""

    code = "DEADLINE_EXCEEDED"
    reason = "DEADLINE"


class InternalFault(PartstreamError):
    """A defect of the server; its log has the details under the request id."""

    reason = "INTERNAL"


def error_classes(root: type[PartstreamError] = PartstreamError) -> Iterator[type[PartstreamError]]:
    """Yield every class that has a reason of its own, those of imported packages included."""
    if root.reason:
        yield root
    for child in root.__subclasses__():
        yield from error_classes(child)
