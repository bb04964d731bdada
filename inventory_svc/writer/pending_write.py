"""A request queued at the writer, and the result that its caller gets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from chassis.errors import InternalFault, PartstreamError, RequestIdReused

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from inventory_svc.domain.commands import Command
    from inventory_svc.domain.stock import Origin
    from inventory_svc.store.unit_of_work import Claim


class Serialisable(Protocol):
    """A response as the servicer made it; the writer only stores its bytes."""

    def SerializeToString(self) -> bytes:  # noqa: N802 - protobuf's name
        """Return the bytes to store for repeated requests."""


class UnstoredResponse:
    """The response to a request of the service itself, which is never repeated."""

    def __init__(self, outcome: Sequence[Any]) -> None:
        """Count what was changed."""
        self.count = len(outcome)

    def SerializeToString(self) -> bytes:  # noqa: N802 - protobuf's name
        """Return nothing to store."""
        return b""


@dataclass(frozen=True, slots=True)
class WriteResult:
    """A new message, or the stored response of a repeated request; and the revision of the commit."""

    message: Serialisable | None
    stored_response: bytes
    revision: int | None
    replayed: bool


@dataclass(slots=True, eq=False)
class PendingWrite:
    """A request in the queue."""

    command: Command
    origin: Origin
    body_hash: bytes
    encode: Callable[[Any], Serialisable]
    weight: int
    future: asyncio.Future[WriteResult]
    principal: str = "service"  # this service itself
    began_commit: bool = False  # the response may be stored although no caller has got it
    duplicates: list[PendingWrite] = field(default_factory=list)  # the same request id in the same batch

    @property
    def claim(self) -> Claim:
        """The principal and its request id."""
        return self.principal, self.origin.request_id

    def resolve(self, result: WriteResult) -> None:
        """Give the result to the caller, unless it has cancelled; a duplicate gets it as replayed."""
        if not self.future.done():
            self.future.set_result(result)
        for duplicate in self.duplicates:
            duplicate.resolve(WriteResult(None, result.stored_response, result.revision, replayed=True))

    def reject(self, error: PartstreamError) -> None:
        """Give the error to the caller, unless it has cancelled."""
        if not self.future.done():
            self.future.set_exception(error)
        for duplicate in self.duplicates:
            duplicate.reject(error)


def merge_duplicates(writes: Sequence[PendingWrite]) -> tuple[list[PendingWrite], list[PendingWrite]]:
    """Return the writes with each claim once, and those to decide after them.

    A duplicate waits for the result of the first. The same id with another body waits until the first is decided: that
    may be rejected and then claims nothing, or may itself reuse an id.
    """
    first: dict[Claim, PendingWrite] = {}
    later: list[PendingWrite] = []
    for write in writes:
        known = first.setdefault(write.claim, write)
        if known is write:
            continue
        if known.body_hash == write.body_hash:
            known.duplicates.append(write)
        else:
            later.append(write)
    return list(first.values()), later


def request_id_reused(write: PendingWrite) -> RequestIdReused:
    """Return the error for the same claim with another body."""
    message = "This request_id was used with another body. Use a new one for a new request."
    return RequestIdReused(message, metadata={"request_id": write.origin.request_id})


def unexpected_error(error: BaseException) -> InternalFault:
    """Return what a caller gets for an unexpected exception."""
    return InternalFault("The service failed unexpectedly.", metadata={"kind": type(error).__name__})
