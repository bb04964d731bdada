"""The one tree of errors that travel between processes: what each means, as data. Standard library only.

::

    PartstreamError
    ├── InvalidArgument: FieldInvalid, RequestIdReused, CursorMalformed, CursorFromFuture, PageTokenInvalid
    ├── NotFound: PartNotFound, LocationNotFound, ReservationNotFound, MovementNotFound, CategoryNotFound,
    │     VersionNotFound, FollowerNotFound
    ├── AlreadyExists: PartExists, LocationExists, CategoryExists
    ├── FailedPrecondition: VersionRequired, InsufficientStock, PartArchived, HasDependents, LocationArchived,
    │     ReservationNotHeld, ReservationLimit, MovementNotReversible, IllegalState, BatchAborted, EpochChanged,
    │     PositionNotSent
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
    """One field at fault: its path as in the request (``part.title``, ``adjustments[3].delta``) and what is wrong."""

    path: str
    message: str


@dataclass(frozen=True, slots=True)
class ResourceRef:
    """The resource an error speaks of: its kind (``part``) and its identifier."""

    kind: str
    name: str


class PartstreamError(Exception):
    """Whatever a caller is told went wrong: a gRPC code, a reason, facts, and words for people."""

    code: ClassVar[str] = "INTERNAL"
    reason: ClassVar[str] = ""

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
    ) -> None:
        """Hold the error as data; ``current`` is the resource as it is now, for conflicts."""
        super().__init__(message)
        self.message = message
        self.metadata = dict(metadata or {})
        self.fields = tuple(fields)
        self.resource = resource
        self.preconditions = tuple(preconditions)
        self.retry_after_seconds = retry_after_seconds
        self.current = current


class InvalidArgument(PartstreamError):
    """The request is wrong whatever the state; sending it again cannot help."""

    code = "INVALID_ARGUMENT"


class FieldInvalid(InvalidArgument):
    """A field is malformed or breaks a rule."""

    reason = "FIELD_INVALID"


class RequestIdReused(InvalidArgument):
    """The request id was used before with another body."""

    reason = "REQUEST_ID_REUSED"


class CursorMalformed(InvalidArgument):
    """The cursor or revision token cannot be read."""

    reason = "CURSOR_MALFORMED"


class CursorFromFuture(InvalidArgument):
    """The cursor lies beyond the newest revision."""

    reason = "CURSOR_FROM_FUTURE"


class PageTokenInvalid(InvalidArgument):
    """The page token cannot be read or was issued for other filters."""

    reason = "PAGE_TOKEN_INVALID"


class NotFound(PartstreamError):
    """The thing named is not there."""

    code = "NOT_FOUND"


class PartNotFound(NotFound):
    """No such part."""

    reason = "PART_NOT_FOUND"


class LocationNotFound(NotFound):
    """No such location."""

    reason = "LOCATION_NOT_FOUND"


class ReservationNotFound(NotFound):
    """No such reservation."""

    reason = "RESERVATION_NOT_FOUND"


class MovementNotFound(NotFound):
    """No such movement."""

    reason = "MOVEMENT_NOT_FOUND"


class CategoryNotFound(NotFound):
    """No such category."""

    reason = "CATEGORY_NOT_FOUND"


class VersionNotFound(NotFound):
    """No such version."""

    reason = "VERSION_NOT_FOUND"


class FollowerNotFound(NotFound):
    """No follower of this name is registered."""

    reason = "FOLLOWER_NOT_FOUND"


class AlreadyExists(PartstreamError):
    """The identifier is taken."""

    code = "ALREADY_EXISTS"


class PartExists(AlreadyExists):
    """A part with this id exists."""

    reason = "PART_EXISTS"


class LocationExists(AlreadyExists):
    """A location with this id exists."""

    reason = "LOCATION_EXISTS"


class CategoryExists(AlreadyExists):
    """A category with this id exists."""

    reason = "CATEGORY_EXISTS"


class FailedPrecondition(PartstreamError):
    """The request is sound, the state does not allow it."""

    code = "FAILED_PRECONDITION"


class VersionRequired(FailedPrecondition):
    """An absolute write must say which version it replaces."""

    reason = "VERSION_REQUIRED"


class InsufficientStock(FailedPrecondition):
    """Fewer units are available than were asked for."""

    reason = "INSUFFICIENT_STOCK"


class PartArchived(FailedPrecondition):
    """The part or its stock level is archived."""

    reason = "PART_ARCHIVED"


class HasDependents(FailedPrecondition):
    """Something depends on the resource."""

    reason = "HAS_DEPENDENTS"


class LocationArchived(FailedPrecondition):
    """The location is archived."""

    reason = "LOCATION_ARCHIVED"


class ReservationNotHeld(FailedPrecondition):
    """The reservation is no longer held."""

    reason = "RESERVATION_NOT_HELD"


class ReservationLimit(FailedPrecondition):
    """A guest's cart holds as much as it may."""

    reason = "RESERVATION_LIMIT"


class MovementNotReversible(FailedPrecondition):
    """The movement cannot be undone."""

    reason = "MOVEMENT_NOT_REVERSIBLE"


class IllegalState(FailedPrecondition):
    """The change of state asked for is not allowed from the present one."""

    reason = "ILLEGAL_STATE"


class BatchAborted(FailedPrecondition):
    """An item of an all-or-none batch failed."""

    reason = "BATCH_ABORTED"


class EpochChanged(FailedPrecondition):
    """The cursor belongs to another epoch of the log."""

    reason = "EPOCH_CHANGED"


class PositionNotSent(FailedPrecondition):
    """The position lies beyond what the follower was sent."""

    reason = "POSITION_NOT_SENT"


class VersionConflict(PartstreamError):
    """The expected version is stale; ``current`` is what is there now, metadata says who changed it and when."""

    code = "ABORTED"
    reason = "VERSION_CONFLICT"


ConcurrencyError = VersionConflict


class Unauthenticated(PartstreamError):
    """The caller is not known."""

    code = "UNAUTHENTICATED"


class TokenMissing(Unauthenticated):
    """The call needs a token and brought none."""

    reason = "TOKEN_MISSING"


class TokenInvalid(Unauthenticated):
    """The token is malformed, badly signed or not meant for this system."""

    reason = "TOKEN_INVALID"


class TokenExpired(Unauthenticated):
    """The token's time is over."""

    reason = "TOKEN_EXPIRED"


class TokenRevoked(Unauthenticated):
    """The session behind the token was revoked."""

    reason = "TOKEN_REVOKED"


class PermissionMissing(PartstreamError):
    """The caller is known and lacks a permission."""

    code = "PERMISSION_DENIED"
    reason = "PERMISSION_MISSING"


class ResourceExhausted(PartstreamError):
    """A limit is reached."""

    code = "RESOURCE_EXHAUSTED"


class Overloaded(ResourceExhausted):
    """A queue is full; come again later."""

    reason = "OVERLOADED"


class WatcherTooSlow(ResourceExhausted):
    """The watcher did not keep up; resume from its last cursor."""

    reason = "WATCHER_TOO_SLOW"


class Unavailable(PartstreamError):
    """Not now; an idempotent call may be sent again."""

    code = "UNAVAILABLE"


class StoreUnavailable(Unavailable):
    """The database is away."""

    reason = "STORE_UNAVAILABLE"


class RevisionNotYetServed(Unavailable):
    """This server has not yet served the revision asked for."""

    reason = "REVISION_NOT_YET_SERVED"


class Draining(Unavailable):
    """The server is being replaced."""

    reason = "DRAINING"


class RevocationUnknown(Unavailable):
    """It is not known which tokens are revoked, so nothing is written."""

    reason = "REVOCATION_UNKNOWN"


class CursorCompacted(PartstreamError):
    """Entries after the cursor are no longer kept."""

    code = "OUT_OF_RANGE"
    reason = "CURSOR_COMPACTED"


class DeadlinePassed(PartstreamError):
    """Time ran out."""

    code = "DEADLINE_EXCEEDED"
    reason = "DEADLINE"


class InternalFault(PartstreamError):
    """A fault of ours; the server's log has it under the request id."""

    reason = "INTERNAL"


def error_classes(root: type[PartstreamError] = PartstreamError) -> Iterator[type[PartstreamError]]:
    """Every class of the tree that has a reason."""
    if root.reason:
        yield root
    for child in root.__subclasses__():
        yield from error_classes(child)
