"""What every method stands on: the writer, the reads, the feed, and how a write is asked and answered."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from chassis.caller import current_request
from inventory_svc.batch import Job
from inventory_svc.convert.requests import normal_id
from inventory_svc.domain.stock import Origin

if TYPE_CHECKING:
    from collections.abc import Callable

    import grpc

    from chassis.changes.feed import ChangeFeed
    from inventory_svc.domain.intents import Intent
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

    def __init__(self, writer: Writer, queries: Queries, feed: ChangeFeed) -> None:
        """Stand on what the composition root made."""
        self.writer = writer
        self.queries = queries
        self.feed = feed

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
        context = current_request()
        caller = context.caller
        request_id = normal_id(request.request_id) or str(uuid.uuid4())
        origin = Origin(caller.user_id, caller.username, caller.client_ip, request_id, context.traceparent)
        loop = asyncio.get_running_loop()
        body_hash = _body_hash(request, type(request).__name__, caller.user_id)
        answer = await self.writer.submit(Job(intent, origin, body_hash, respond, weight, loop.create_future()))
        message: Any = answer.message or response.FromString(answer.kept)
        message.revision_token = self.feed.token_for(answer.revision)
        message.replayed = answer.replayed
        typed: ResponseT = message
        return typed


def _body_hash(request: WriteRequest, kind: str, user_id: str) -> bytes:
    """What makes two requests the same: method, caller and body."""
    head = f"{kind}\0{user_id}\0".encode()
    return hashlib.sha256(head + request.SerializeToString(deterministic=True)).digest()


def page_size(asked: int) -> int:
    """How many items a page has; 0 asks for the default."""
    return asked or PAGE_SIZE
