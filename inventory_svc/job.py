"""One request on its way through the writer, and what its caller is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from chassis.errors import InternalFault, PartstreamError, RequestIdReused

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from inventory_svc.domain.intents import Intent
    from inventory_svc.domain.stock import Origin


Claim = tuple[str, str]  # whose request it is, and its id: two principals may use the same id


class Serialisable(Protocol):
    """An answer as the border made it; the writer only keeps its bytes."""

    def SerializeToString(self) -> bytes:  # noqa: N802 - protobuf's name
        """The bytes to keep for a repeated request."""


class NothingKept:
    """The response to a request of the service itself, which is never retried."""

    def __init__(self, outcome: Sequence[Any]) -> None:
        """Count what was changed."""
        self.count = len(outcome)

    def SerializeToString(self) -> bytes:  # noqa: N802 - protobuf's name
        """Return nothing to store."""
        return b""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a caller is told: a fresh message, or the bytes that were told before; and the revision of the commit."""

    message: Serialisable | None
    kept: bytes
    revision: int | None
    replayed: bool


@dataclass(slots=True, eq=False)
class Job:
    """A request in the queue."""

    intent: Intent
    origin: Origin
    body_hash: bytes
    encode: Callable[[Any], Serialisable]
    weight: int
    future: asyncio.Future[Answer]
    principal: str = "service"  # this service itself
    began_commit: bool = False  # the answer may have been kept although nobody was told
    twins: list[Job] = field(default_factory=list)  # the same request id in the same batch

    @property
    def claim(self) -> Claim:
        """Whose request it is, and its id."""
        return self.principal, self.origin.request_id

    def answer(self, answer: Answer) -> None:
        """Tell the caller, unless it has gone."""
        if not self.future.done():
            self.future.set_result(answer)
        for twin in self.twins:
            twin.answer(Answer(None, answer.kept, answer.revision, replayed=True))

    def refuse(self, error: PartstreamError) -> None:
        """Tell the caller why not, unless it has gone."""
        if not self.future.done():
            self.future.set_exception(error)
        for twin in self.twins:
            twin.refuse(error)


def join_twins(jobs: Sequence[Job]) -> tuple[list[Job], list[Job]]:
    """The jobs with each claim once, and those to be decided after them.

    A repetition waits for the first one's answer. One of the same id with another body waits until it is known whether
    the id is the first one's: that may be refused, and then claims nothing, or may itself be the one of another body.
    """
    first: dict[Claim, Job] = {}
    later: list[Job] = []
    for job in jobs:
        known = first.setdefault(job.claim, job)
        if known is job:
            continue
        if known.body_hash == job.body_hash:
            known.twins.append(job)
        else:
            later.append(job)
    return list(first.values()), later


def reused(job: Job) -> RequestIdReused:
    """The same claim with another body."""
    message = "This request_id was used before with another body: make up a new one for a new request."
    return RequestIdReused(message, metadata={"request_id": job.origin.request_id})


def unexpected(error: BaseException) -> InternalFault:
    """What a caller is told of a fault of ours."""
    return InternalFault("The service failed in an unexpected way.", metadata={"kind": type(error).__name__})
