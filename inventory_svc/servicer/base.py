"""Base class of the servicers: access to the writer, the queries and the feed, and how a write is submitted."""

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
from inventory_svc.writer.pending_write import PendingWrite, UnstoredResponse, WriteResult

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import grpc
    from google.protobuf.message import Message

    from changelog.feed import ChangeFeed
    from chassis.caller import Caller
    from inventory_svc.commands.publication import PublishedParts
    from inventory_svc.domain.commands import Command
    from inventory_svc.domain.guest_limits import GuestLimits
    from inventory_svc.queries import Queries
    from inventory_svc.writer.group_commit import Writer


if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]


class WriteRequest(Protocol):
    """A request of a write."""

    request_id: str

    def SerializeToString(self, *, deterministic: bool = ...) -> bytes:  # noqa: N802 - protobuf's name
        """Return the bytes that are hashed to recognise a repeated request."""


class WriteResponse(Protocol):
    """A response to a write."""

    def __init__(self, **fields: Any) -> None: ...

    revision_token: str
    replayed: bool

    def SerializeToString(self) -> bytes:  # noqa: N802 - protobuf's name
        """Return the bytes to store."""

    @classmethod
    def FromString(cls, raw: bytes, /) -> Any:  # noqa: N802 - protobuf's name
        """Return the message of stored bytes."""


ResponseT = TypeVar("ResponseT", bound=WriteResponse)

PAGE_SIZE = 50


class Base:
    """Base class of the servicers of all resources."""

    def __init__(
        self, writer: Writer, queries: Queries, feed: ChangeFeed, published: PublishedParts, guest_limits: GuestLimits
    ) -> None:
        """Store the parts that the composition root constructed."""
        self.guest_limits = guest_limits
        self.writer = writer
        self.queries = queries
        self.feed = feed
        self.published = published

    async def write(
        self,
        request: WriteRequest,
        command: Command,
        response: type[ResponseT],
        respond: Callable[[Any], ResponseT],
        *,
        weight: int = 1,
    ) -> ResponseT:
        """Queue a command for the caller and return after its commit; a repeated request gets the stored response."""
        result = await self.writer.submit(_pending_write(request, command, respond, weight))
        message: ResponseT = _message(result, response)
        message.revision_token = self.feed.token_for(result.revision)
        message.replayed = result.replayed
        return message

    async def submit(self, command: Command) -> None:
        """Commit a command that is a side effect of the caller's request; its response is not stored."""
        context = current_request()
        caller = context.caller
        origin = Origin(caller.user_id, caller.username, caller.client_ip, str(uuid.uuid4()), context.traceparent)
        future = asyncio.get_running_loop().create_future()
        await self.writer.submit(
            PendingWrite(command, origin, b"", UnstoredResponse, 1, future, principal_of(caller, ""))
        )

    async def write_each(
        self,
        requests: Sequence[tuple[WriteRequest, Command, int]],
        response: type[ResponseT],
        respond: Callable[[Any], ResponseT],
    ) -> tuple[list[EachResult[ResponseT] | PartstreamError], str]:
        """Queue requests with their commands and weights independently; return the results in order and one token."""
        writes = [_pending_write(request, command, respond, weight) for request, command, weight in requests]
        for write in writes:
            try:
                self.writer.enqueue(write)
            except PartstreamError as error:
                write.reject(error)
        results: list[EachResult[ResponseT] | PartstreamError] = []
        revisions = [0]
        for outcome in await asyncio.gather(*(write.future for write in writes), return_exceptions=True):
            if isinstance(outcome, WriteResult):
                results.append(EachResult(_message(outcome, response), outcome.replayed))
                revisions.append(outcome.revision or 0)
            elif isinstance(outcome, PartstreamError):
                results.append(outcome)
            else:
                raise outcome
        return results, self.feed.token_for(max(revisions) or None)


@dataclass(frozen=True, slots=True)
class EachResult(Generic[ResponseT]):
    """The result of one of many requests."""

    message: ResponseT
    replayed: bool


def _pending_write(
    request: WriteRequest, command: Command, respond: Callable[[Any], WriteResponse], weight: int
) -> PendingWrite:
    """Return the pending write of a request of the caller."""
    context = current_request()
    caller = context.caller
    request_id = normal_id(request.request_id) or str(uuid.uuid4())
    origin = Origin(caller.user_id, caller.username, caller.client_ip, request_id, context.traceparent)
    body_hash = _body_hash(request, type(request).__name__, caller.user_id)
    owner_key: str = getattr(request, "owner_key", "")
    future = asyncio.get_running_loop().create_future()
    return PendingWrite(command, origin, body_hash, respond, weight, future, principal_of(caller, owner_key))


def principal_of(caller: Caller, owner_key: str) -> str:
    """Return the principal that scopes request ids: an account, or the cart of a guest.

    A guest without a key gets a new principal for each request: its requests cannot be repeated.
    """
    if not caller.is_anonymous:
        return f"user:{caller.user_id}"
    return f"cart:{Owner.of_cart(owner_key).identifier}" if owner_key else f"guest:{uuid.uuid4()}"


def _message(result: WriteResult, response: type[ResponseT]) -> ResponseT:
    """Return the new message of a result, or the stored one."""
    message: Any = result.message or response.FromString(result.stored_response)
    typed: ResponseT = message
    return typed


def _body_hash(request: WriteRequest, kind: str, user_id: str) -> bytes:
    """Return the hash of method, caller and body. Requests with the same hash are the same request."""
    head = f"{kind}\0{user_id}\0".encode()
    return hashlib.sha256(head + request.SerializeToString(deterministic=True)).digest()


def page_size(requested: int) -> int:
    """Return the number of items of a page; 0 stands for the default."""
    return requested or PAGE_SIZE


def respond_with(
    response: type[ResponseT], field: str, message_of: Callable[[Any], Message]
) -> Callable[[Any], ResponseT]:
    """Return a function that constructs a response with one field from the result of a command."""
    return lambda result: response(**{field: message_of(result)})
