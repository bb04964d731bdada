"""What every method stands on: the writer, the reads, the feed, and how a write is asked and answered."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from chassis.caller import current_request
from chassis.errors import PartstreamError
from inventory_svc.convert.requests import normal_id
from inventory_svc.domain.reservation import Owner
from inventory_svc.domain.stock import Origin
from inventory_svc.job import Answer, Job, NothingKept

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import grpc

    from changelog.feed import ChangeFeed
    from chassis.caller import Caller
    from inventory_svc.domain.guest_limits import GuestLimits
    from inventory_svc.domain.intents import Intent
    from inventory_svc.publication import PublishedParts
    from inventory_svc.queries import Queries
    from inventory_svc.writer import Writer


if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]


class WriteRequest(Protocol):
    """A request that changes something."""

    request_id: str

    def SerializeToString(self, *, deterministic: bool = ...) -> bytes:  # noqa: N802 - protobuf's name
        """The bytes that a repetition must equal."""


class WriteResponse(Protocol):
    """An answer to such a request."""

    revision_token: str
    replayed: bool

    def SerializeToString(self) -> bytes:  # noqa: N802 - protobuf's name
        """The bytes to keep."""

    @classmethod
    def FromString(cls, raw: bytes, /) -> Any:  # noqa: N802 - protobuf's name
        """The message behind kept bytes."""


ResponseT = TypeVar("ResponseT", bound=WriteResponse)

PAGE_SIZE = 50


class Base:
    """Shared by the methods of every noun."""

    def __init__(
        self, writer: Writer, queries: Queries, feed: ChangeFeed, published: PublishedParts, guest_limits: GuestLimits
    ) -> None:
        """Stand on what the composition root made."""
        self.guest_limits = guest_limits
        self.writer = writer
        self.queries = queries
        self.feed = feed
        self.published = published

    async def write(
        self,
        request: WriteRequest,
        intent: Intent,
        response: type[ResponseT],
        respond: Callable[[Any], ResponseT],
        *,
        weight: int = 1,
    ) -> ResponseT:
        """Queue an intent on behalf of the caller and wait for its commit; a repeated request gets its first answer."""
        answer = await self.writer.submit(_job(request, intent, respond, weight))
        message: ResponseT = _told(answer, response)
        message.revision_token = self.feed.token_for(answer.revision)
        message.replayed = answer.replayed
        return message

    async def submit(self, intent: Intent) -> None:
        """Do what follows from a request besides what it asks for, on behalf of its caller."""
        context = current_request()
        caller = context.caller
        origin = Origin(caller.user_id, caller.username, caller.client_ip, str(uuid.uuid4()), context.traceparent)
        future = asyncio.get_running_loop().create_future()
        await self.writer.submit(Job(intent, origin, b"", NothingKept, 1, future, principal_of(caller, "")))

    async def write_each(
        self,
        writes: Sequence[tuple[WriteRequest, Intent, int]],
        response: type[ResponseT],
        respond: Callable[[Any], ResponseT],
    ) -> tuple[list[Answered[ResponseT] | PartstreamError], str]:
        """Queue requests with their intents and weights, each by itself; the answers in order, and a token for all."""
        jobs = [_job(request, intent, respond, weight) for request, intent, weight in writes]
        for job in jobs:
            try:
                self.writer.enqueue(job)
            except PartstreamError as error:
                job.refuse(error)
        results: list[Answered[ResponseT] | PartstreamError] = []
        revisions = [0]
        for outcome in await asyncio.gather(*(job.future for job in jobs), return_exceptions=True):
            if isinstance(outcome, Answer):
                results.append(Answered(_told(outcome, response), outcome.replayed))
                revisions.append(outcome.revision or 0)
            elif isinstance(outcome, PartstreamError):
                results.append(outcome)
            else:
                raise outcome
        return results, self.feed.token_for(max(revisions) or None)


@dataclass(frozen=True, slots=True)
class Answered(Generic[ResponseT]):
    """What one of many requests was answered."""

    message: ResponseT
    replayed: bool


def _job(request: WriteRequest, intent: Intent, respond: Callable[[Any], WriteResponse], weight: int) -> Job:
    """A request on behalf of the caller."""
    context = current_request()
    caller = context.caller
    request_id = normal_id(request.request_id) or str(uuid.uuid4())
    origin = Origin(caller.user_id, caller.username, caller.client_ip, request_id, context.traceparent)
    body_hash = _body_hash(request, type(request).__name__, caller.user_id)
    owner_key: str = getattr(request, "owner_key", "")
    future = asyncio.get_running_loop().create_future()
    return Job(intent, origin, body_hash, respond, weight, future, principal_of(caller, owner_key))


def principal_of(caller: Caller, owner_key: str) -> str:
    """Return whose request ids these are: an account's, or those of a guest's cart.

    A guest without a key owns nothing that could be repeated.
    """
    if not caller.is_anonymous:
        return f"user:{caller.user_id}"
    return f"cart:{Owner.of_cart(owner_key).identifier}" if owner_key else f"guest:{uuid.uuid4()}"


def _told(answer: Answer, response: type[ResponseT]) -> ResponseT:
    """The message of an answer, fresh or kept."""
    message: Any = answer.message or response.FromString(answer.kept)
    typed: ResponseT = message
    return typed


def _body_hash(request: WriteRequest, kind: str, user_id: str) -> bytes:
    """What makes two requests the same: method, caller and body."""
    head = f"{kind}\0{user_id}\0".encode()
    return hashlib.sha256(head + request.SerializeToString(deterministic=True)).digest()


def page_size(asked: int) -> int:
    """How many items a page has; 0 asks for the default."""
    return asked or PAGE_SIZE
