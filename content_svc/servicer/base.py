"""What all methods use: writes, reads, the feed, and how a write becomes a response."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from changelog.visibility import groups, redact
from chassis.caller import current_caller
from content_svc.convert.requests import body_hash
from content_svc.convert.responses import part_message
from content_svc.domain.part import Part
from content_svc.domain.violations import lines_violations, raise_any
from content_svc.store.write_transactions import WriteRequest, WriteResult
from partstream.content.v1 import part_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import grpc
    from google.protobuf.message import Message

    from changelog.feed import ChangeFeed
    from content_svc.queries import Queries
    from content_svc.store.write_transactions import WriteTransactions
    from partstream.content.v1 import part_pb2

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

_MAX_COMMENT = 500

ResponseT = TypeVar(
    "ResponseT", pb.CreatePartResponse, pb.UpdatePartResponse, pb.CreateCategoryResponse, pb.BatchUpsertPartsResponse
)
ResultT = TypeVar("ResultT")


class Base:
    """Shared by the methods of every noun."""

    def __init__(self, transactions: WriteTransactions, queries: Queries, feed: ChangeFeed) -> None:
        """Use what the composition root made."""
        self.transactions = transactions
        self.queries = queries
        self.feed = feed

    async def write(
        self,
        command: Callable[[Callable[[ResultT], bytes]], Awaitable[WriteResult[ResultT]]],
        response: type[ResponseT],
        respond: Callable[[ResultT], ResponseT],
    ) -> ResponseT:
        """Run a command, which receives the function that encodes its response; return the response.

        A repeated request returns its stored response.
        """
        done = await command(lambda result: respond(result).SerializeToString())
        if done.stored_response is not None:
            message = response.FromString(done.stored_response)
            message.replayed = True
        else:
            message = respond(done.result)  # type: ignore[arg-type] # there is a result or a stored response
        message.revision_token = self.feed.token_for(done.revision)
        return message


def write_request(request: Message, method: str, comment: str = "") -> WriteRequest:
    """Return what identifies a repeated write. Raise ``FieldInvalid`` for an invalid comment."""
    raise_any(lines_violations(comment, "comment", _MAX_COMMENT), "")
    request_id: str = getattr(request, "request_id", "")
    return WriteRequest(
        uuid.UUID(request_id) if request_id else None, body_hash(request, method, current_caller().user_id), comment
    )


def visible_part(part: Part) -> part_pb2.Part:
    """Return a part with the fields that the caller can see."""
    message = part_message(part)
    redact(message, groups(current_caller(), "content"))
    return message


def pack(current: object) -> Message | None:
    """Return the resource attached to an error, with the fields that the caller can see."""
    return visible_part(current) if isinstance(current, Part) else None
