"""One short method per RPC: convert in, call, convert out."""

# ruff: noqa: N802, ARG002 - names and arguments are those of the generated base class
from __future__ import annotations

import uuid
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from changelog.follower_registry import PERMISSION
from changelog.snapshot_gate import SnapshotGate
from changelog.visibility import audience, groups, redact
from chassis.caller import current_caller, require
from content_svc import commands, convert
from content_svc.domain.part import Part
from content_svc.domain.violations import lines_violations, raise_any
from content_svc.upsert import upsert_parts
from content_svc.writes import Answer, Command
from partstream.content.v1 import part_service_pb2 as pb
from partstream.content.v1.part_service_pb2_grpc import ContentServiceServicer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    import grpc
    from google.protobuf.message import Message

    from changelog.feed import ChangeFeed
    from content_svc.domain.category import Category
    from content_svc.domain.part_upsert import UpsertResult
    from content_svc.queries import Queries
    from content_svc.writes import Writes
    from partstream.content.v1 import part_pb2

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

_BOOKMARK_SECONDS = 5.0
_MAX_COMMENT = 500
_SNAPSHOT_PAGE_BYTES = 512 * 1024

ResponseT = TypeVar(
    "ResponseT", pb.CreatePartResponse, pb.UpdatePartResponse, pb.CreateCategoryResponse, pb.BatchUpsertPartsResponse
)
ResultT = TypeVar("ResultT")


class ContentServicer(ContentServiceServicer):
    """The content service's border."""

    def __init__(self, writes: Writes, queries: Queries, feed: ChangeFeed) -> None:
        """Stand on what the composition root made."""
        self._writes = writes
        self._queries = queries
        self._feed = feed
        self._snapshots = SnapshotGate()

    async def CreatePart(self, request: pb.CreatePartRequest, context: Context) -> pb.CreatePartResponse:
        """Add a part."""

        def respond(part: Part) -> pb.CreatePartResponse:
            return pb.CreatePartResponse(part=_shown(part))

        answer = await commands.create_part(
            self._writes,
            _command(request, "CreatePart", request.comment),
            request.part.part_id,
            convert.content_from_part(request.part),
            _serialised(respond),
        )
        return self._answer(answer, pb.CreatePartResponse, respond)

    async def UpdatePart(self, request: pb.UpdatePartRequest, context: Context) -> pb.UpdatePartResponse:
        """Change the masked fields of a part."""

        def respond(part: Part) -> pb.UpdatePartResponse:
            return pb.UpdatePartResponse(part=_shown(part))

        answer = await commands.update_part(
            self._writes,
            _command(request, "UpdatePart", request.comment),
            request.part.part_id,
            convert.content_from_part(request.part),
            _serialised(respond),
            mask=request.update_mask.paths,
            condition=convert.condition(request),
        )
        return self._answer(answer, pb.UpdatePartResponse, respond)

    async def BatchUpsertParts(
        self, request: pb.BatchUpsertPartsRequest, context: Context
    ) -> pb.BatchUpsertPartsResponse:
        """Create or change many parts, each with a result of its own."""

        def respond(results: Sequence[UpsertResult]) -> pb.BatchUpsertPartsResponse:
            return pb.BatchUpsertPartsResponse(results=[convert.upsert_result(result) for result in results])

        answer = await upsert_parts(
            self._writes,
            _command(request, "BatchUpsertParts", request.comment),
            [(part.part_id, convert.content_from_part(part)) for part in request.parts],
            convert.upsert_masks(request),
            _serialised(respond),
        )
        return self._answer(answer, pb.BatchUpsertPartsResponse, respond)

    async def CreateCategory(self, request: pb.CreateCategoryRequest, context: Context) -> pb.CreateCategoryResponse:
        """Add a category."""

        def respond(category: Category) -> pb.CreateCategoryResponse:
            return pb.CreateCategoryResponse(category=convert.category_message(category))

        answer = await commands.create_category(
            self._writes,
            _command(request, "CreateCategory"),
            convert.category_from_message(request.category),
            _serialised(respond),
        )
        return self._answer(answer, pb.CreateCategoryResponse, respond)

    async def GetPart(self, request: pb.GetPartRequest, context: Context) -> pb.GetPartResponse:
        """One part."""
        await self._feed.wait_for(request.min_revision_token)
        found = await self._queries.get_part(request.part_id)
        return pb.GetPartResponse(part=_shown(found.parts[0]), revision_token=self._feed.token_for(found.revision))

    async def BatchGetParts(self, request: pb.BatchGetPartsRequest, context: Context) -> pb.BatchGetPartsResponse:
        """Many parts."""
        await self._feed.wait_for(request.min_revision_token)
        found = await self._queries.get_parts(request.part_ids)
        seen = {part.part_id for part in found.parts}
        return pb.BatchGetPartsResponse(
            parts=map(_shown, found.parts),
            missing_part_ids=[part_id for part_id in dict.fromkeys(request.part_ids) if part_id not in seen],
            revision_token=self._feed.token_for(found.revision),
        )

    async def ListParts(self, request: pb.ListPartsRequest, context: Context) -> pb.ListPartsResponse:
        """A page of parts."""
        await self._feed.wait_for(request.min_revision_token)
        listing = convert.listing_from_request(request)
        found = await self._queries.list_parts(listing, request.page_size, request.page_token)
        return pb.ListPartsResponse(
            parts=map(_shown, found.parts),
            next_page_token=found.next_page_token,
            revision_token=self._feed.token_for(found.revision),
        )

    async def ListCategories(self, request: pb.ListCategoriesRequest, context: Context) -> pb.ListCategoriesResponse:
        """The tree."""
        await self._feed.wait_for(request.min_revision_token)
        tree, revision = await self._queries.list_categories()
        return pb.ListCategoriesResponse(
            categories=map(convert.category_message, tree), revision_token=self._feed.token_for(revision)
        )

    async def SnapshotParts(
        self, request: pb.SnapshotPartsRequest, context: Context
    ) -> AsyncIterator[pb.SnapshotPartsResponse]:
        """Every part as of one moment, in messages of bounded size."""
        with self._snapshots.enter() as require_time:
            page, size = pb.SnapshotPartsResponse(), 0
            async with aclosing(self._queries.snapshot(request.start_after)) as items:
                async for item in items:
                    if not isinstance(item, Part):
                        yield pb.SnapshotPartsResponse(cursor=self._feed.token_for(item))
                        continue
                    message = _shown(item)
                    page.parts.append(message)
                    page.resume_key = item.part_id
                    size += message.ByteSize()
                    if size >= _SNAPSHOT_PAGE_BYTES:
                        require_time()
                        yield page
                        page, size = pb.SnapshotPartsResponse(), 0
            if page.parts:
                yield page

    def WatchParts(  # type: ignore[override] # the border passes bytes on as they are
        self, request: pb.WatchPartsRequest, context: Context
    ) -> AsyncIterator[bytes]:
        """Changes after a cursor, serialised once for all watchers."""
        interval = request.bookmark_interval.ToTimedelta().total_seconds() or _BOOKMARK_SECONDS
        if request.follower:
            require(PERMISSION)
        watching = audience(current_caller(), "content")
        return self._feed.watch(request.cursor, request.part_ids, interval, watching, follower=request.follower)

    def _answer(
        self, answer: Answer[ResultT], response: type[ResponseT], respond: Callable[[ResultT], ResponseT]
    ) -> ResponseT:
        """The response of a first attempt, or the stored one, with the token of the revision that covers it."""
        if answer.stored is not None:
            found = response.FromString(answer.stored)
            found.replayed = True
        else:
            found = respond(answer.result)  # type: ignore[arg-type] # an answer holds one or the other
        found.revision_token = self._feed.token_for(answer.revision)
        return found


# Texts of several lines. Those of a batch are checked part by part, by the rules of the domain.
MULTI_LINE = frozenset(
    f"partstream.content.v1.{name}"
    for name in (
        *("Part.summary", "Part.description", "Part.specifications"),
        *("CreatePartRequest.comment", "UpdatePartRequest.comment", "BatchUpsertPartsRequest.comment"),
    )
)


def pack(current: object) -> Message | None:
    """The resource attached to an error, as the caller may see it."""
    return _shown(current) if isinstance(current, Part) else None


def _command(request: Message, method: str, reason: str = "") -> Command:
    raise_any(lines_violations(reason, "comment", _MAX_COMMENT), "")
    request_id: str = getattr(request, "request_id", "")
    return Command(
        uuid.UUID(request_id) if request_id else None,
        convert.body_hash(request, method, current_caller().user_id),
        reason,
    )


def _serialised(respond: Callable[[ResultT], Message]) -> Callable[[ResultT], bytes]:
    return lambda result: respond(result).SerializeToString()


def _shown(part: Part) -> part_pb2.Part:
    message = convert.part_message(part)
    redact(message, groups(current_caller(), "content"))
    return message
