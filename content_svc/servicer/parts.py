"""Methods of parts."""

# ruff: noqa: N802, ARG002 - names and arguments are those of the generated base class
from __future__ import annotations

from typing import TYPE_CHECKING

from content_svc.commands.part_upsert import upsert_parts
from content_svc.commands.parts import create_part, update_part_content_with_sync
from content_svc.convert import requests, responses
from content_svc.servicer.base import Base, Context, visible_part, write_request
from partstream.content.v1 import part_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from content_svc.domain.part import Part
    from content_svc.domain.part_upsert import UpsertResult


class Parts(Base):
    """Writes and reads of parts."""

    async def CreatePart(self, request: pb.CreatePartRequest, context: Context) -> pb.CreatePartResponse:
        """Create a part."""

        def respond(part: Part) -> pb.CreatePartResponse:
            return pb.CreatePartResponse(part=visible_part(part))

        write = write_request(request, "CreatePart", request.comment)
        content = requests.content_from_part(request.part)
        return await self.write(
            lambda encode: create_part(self.transactions, write, request.part.part_id, content, encode),
            pb.CreatePartResponse,
            respond,
        )

    async def UpdatePart(self, request: pb.UpdatePartRequest, context: Context) -> pb.UpdatePartResponse:
        """Change the masked fields of a part."""

        def respond(part: Part) -> pb.UpdatePartResponse:
            return pb.UpdatePartResponse(part=visible_part(part))

        write = write_request(request, "UpdatePart", request.comment)
        content = requests.content_from_part(request.part)
        condition = requests.condition(request)
        return await self.write(
            lambda encode: update_part_content_with_sync(
                self.transactions,
                write,
                request.part.part_id,
                content,
                encode,
                mask=request.update_mask.paths,
                condition=condition,
            ),
            pb.UpdatePartResponse,
            respond,
        )

    async def BatchUpsertParts(
        self, request: pb.BatchUpsertPartsRequest, context: Context
    ) -> pb.BatchUpsertPartsResponse:
        """Create or change many parts, each with its own result."""

        def respond(results: Sequence[UpsertResult]) -> pb.BatchUpsertPartsResponse:
            return pb.BatchUpsertPartsResponse(results=[responses.upsert_result(result) for result in results])

        write = write_request(request, "BatchUpsertParts", request.comment)
        wanted = [(part.part_id, requests.content_from_part(part)) for part in request.parts]
        masks = requests.upsert_masks(request)
        return await self.write(
            lambda encode: upsert_parts(self.transactions, write, wanted, masks, encode),
            pb.BatchUpsertPartsResponse,
            respond,
        )

    async def GetPart(self, request: pb.GetPartRequest, context: Context) -> pb.GetPartResponse:
        """Return one part."""
        await self.feed.wait_for(request.min_revision_token)
        read = await self.queries.get_part(request.part_id)
        return pb.GetPartResponse(part=visible_part(read.parts[0]), revision_token=self.feed.token_for(read.revision))

    async def BatchGetParts(self, request: pb.BatchGetPartsRequest, context: Context) -> pb.BatchGetPartsResponse:
        """Return many parts."""
        await self.feed.wait_for(request.min_revision_token)
        read = await self.queries.get_parts(request.part_ids)
        found = {part.part_id for part in read.parts}
        return pb.BatchGetPartsResponse(
            parts=map(visible_part, read.parts),
            missing_part_ids=[part_id for part_id in dict.fromkeys(request.part_ids) if part_id not in found],
            revision_token=self.feed.token_for(read.revision),
        )

    async def ListParts(self, request: pb.ListPartsRequest, context: Context) -> pb.ListPartsResponse:
        """Return a page of parts."""
        await self.feed.wait_for(request.min_revision_token)
        listing = requests.listing_from_request(request)
        read = await self.queries.list_parts(listing, request.page_size, request.page_token)
        return pb.ListPartsResponse(
            parts=map(visible_part, read.parts),
            next_page_token=read.next_page_token,
            revision_token=self.feed.token_for(read.revision),
        )
