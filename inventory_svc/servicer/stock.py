"""Stock levels: reads and writes."""

# ruff: noqa: N802, ARG002 - the names and parameters of the contract

from __future__ import annotations

from typing import TYPE_CHECKING

from changelog.if_match import seen_versions
from changelog.visibility import Group, groups
from chassis.caller import current_caller, require
from chassis.errors import ResourceRef
from inventory_svc.convert import requests, responses
from inventory_svc.errors import PartNotFound
from inventory_svc.queries.stock import LevelFilter
from inventory_svc.servicer.base import Base, page_size
from partstream.inventory.v1 import stock_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inventory_svc.domain.stock import StockLevel
    from inventory_svc.servicer.base import Context


class StockReads(Base):
    """Levels as they are. The public sees sums over all locations, and nothing of parts that are not published."""

    async def GetStock(self, request: pb.GetStockRequest, context: Context) -> pb.GetStockResponse:
        """One part over all its locations."""
        levels, revision, seen = await self._levels([request.part_id], request.min_revision_token)
        if not levels:
            message = f"There is no stock of {request.part_id}."
            raise PartNotFound(message, resource=ResourceRef("part", request.part_id))
        (stock,) = responses.part_stocks(levels, seen)
        return pb.GetStockResponse(stock=stock, revision_token=self.feed.token_for(revision))

    async def BatchGetStock(self, request: pb.BatchGetStockRequest, context: Context) -> pb.BatchGetStockResponse:
        """Many parts, in the order asked."""
        levels, revision, seen = await self._levels(sorted(set(request.part_ids)), request.min_revision_token)
        found = {stock.part_id: stock for stock in responses.part_stocks(levels, seen)}
        asked = list(dict.fromkeys(request.part_ids))
        return pb.BatchGetStockResponse(
            stocks=[found[part_id] for part_id in asked if part_id in found],
            missing_part_ids=[part_id for part_id in asked if part_id not in found],
            revision_token=self.feed.token_for(revision),
        )

    async def ListStock(self, request: pb.ListStockRequest, context: Context) -> pb.ListStockResponse:
        """A page of levels; for the public, of published parts."""
        if request.location_id or request.show_archived:
            require("stock:read")
        await self.feed.wait_for(request.min_revision_token)
        where = LevelFilter(
            request.location_id,
            request.low_stock if request.HasField("low_stock") else None,
            request.in_stock if request.HasField("in_stock") else None,
            request.show_archived,
        )
        size = page_size(request.page_size)
        if Group.STAFF in groups(current_caller(), "inventory"):
            levels, token, revision = await self.queries.list_levels(where, size, request.page_token)
            shown = [responses.level(item) for item in levels]
        else:
            await self.published.wait_for(request.min_revision_token)
            stocks, token, revision = await self.queries.list_public(where, size, request.page_token)
            shown = [responses.public_level(item) for item in stocks]
        return pb.ListStockResponse(levels=shown, next_page_token=token, revision_token=self.feed.token_for(revision))

    async def _levels(
        self, part_ids: Sequence[str], min_token: str
    ) -> tuple[list[StockLevel], int | None, frozenset[Group]]:
        """Levels of those parts that the caller may see, the revision, and the groups it sees."""
        await self.feed.wait_for(min_token)
        seen = groups(current_caller(), "inventory")
        if Group.STAFF in seen:
            return *await self.queries.levels_of(part_ids), seen
        await self.published.wait_for(min_token)
        found = await self.queries.levels_of(part_ids, only_published=True)
        missed = frozenset(part_ids).difference(level.part_id for level in found[0])
        if missed and await self.published.learn(missed):
            found = await self.queries.levels_of(part_ids, only_published=True)
        return *found, seen


class StockWrites(Base):
    """Counts, differences, moves, archive. Needs `stock:write`."""

    async def SetStock(self, request: pb.SetStockRequest, context: Context) -> pb.SetStockResponse:
        """Set the counted number, or create the level."""
        require("stock:write")

        def respond(level: StockLevel) -> pb.SetStockResponse:
            return pb.SetStockResponse(level=responses.level(level))

        return await self.write(request, requests.set_stock(request), pb.SetStockResponse, respond)

    async def AdjustStock(self, request: pb.AdjustStockRequest, context: Context) -> pb.AdjustStockResponse:
        """Change a level by a difference."""
        require("stock:write")

        def respond(level: StockLevel) -> pb.AdjustStockResponse:
            return pb.AdjustStockResponse(level=responses.level(level))

        command = requests.adjust_stock(request)
        command.if_match = seen_versions(request)
        return await self.write(request, command, pb.AdjustStockResponse, respond)

    async def BatchAdjustStock(
        self, request: pb.BatchAdjustStockRequest, context: Context
    ) -> pb.BatchAdjustStockResponse:
        """Change many levels in one transaction."""
        require("stock:write")
        command = requests.batch_adjust(request)
        return await self.write(
            request, command, pb.BatchAdjustStockResponse, responses.batch_response, weight=len(command.adjustments)
        )

    async def TransferStock(self, request: pb.TransferStockRequest, context: Context) -> pb.TransferStockResponse:
        """Move units between two locations."""
        require("stock:write")
        return await self.write(
            request, requests.transfer_stock(request), pb.TransferStockResponse, responses.transfer_response
        )

    async def ArchiveStock(self, request: pb.ArchiveStockRequest, context: Context) -> pb.ArchiveStockResponse:
        """Take a level out of use."""
        require("stock:write")

        def respond(level: StockLevel) -> pb.ArchiveStockResponse:
            return pb.ArchiveStockResponse(level=responses.level(level))

        return await self.write(request, requests.archive_stock(request), pb.ArchiveStockResponse, respond)

    async def RestoreStock(self, request: pb.RestoreStockRequest, context: Context) -> pb.RestoreStockResponse:
        """Take a level back into use."""
        require("stock:write")

        def respond(level: StockLevel) -> pb.RestoreStockResponse:
            return pb.RestoreStockResponse(level=responses.level(level))

        return await self.write(request, requests.restore_stock(request), pb.RestoreStockResponse, respond)

    async def SetReorderPoint(self, request: pb.SetReorderPointRequest, context: Context) -> pb.SetReorderPointResponse:
        """Set when a level counts as low."""
        require("stock:write")

        def respond(level: StockLevel) -> pb.SetReorderPointResponse:
            return pb.SetReorderPointResponse(level=responses.level(level))

        return await self.write(request, requests.set_reorder_point(request), pb.SetReorderPointResponse, respond)
