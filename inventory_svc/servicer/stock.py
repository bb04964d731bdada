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
from inventory_svc.servicer.base import Base, page_size, respond_with
from partstream.inventory.v1 import stock_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inventory_svc.domain.commands import Command
    from inventory_svc.domain.stock import StockLevel
    from inventory_svc.servicer.base import Context, ResponseT, WriteRequest


class StockReads(Base):
    """Reads of levels. The public gets sums over all locations, and published parts only."""

    async def GetStock(self, request: pb.GetStockRequest, context: Context) -> pb.GetStockResponse:
        """Return the stock of a part over all its locations."""
        levels, revision, seen = await self._levels([request.part_id], request.min_revision_token)
        if not levels:
            message = f"There is no stock of {request.part_id}."
            raise PartNotFound(message, resource=ResourceRef("part", request.part_id))
        (stock,) = responses.part_stocks(levels, seen)
        return pb.GetStockResponse(stock=stock, revision_token=self.feed.token_for(revision))

    async def BatchGetStock(self, request: pb.BatchGetStockRequest, context: Context) -> pb.BatchGetStockResponse:
        """Return the stock of many parts in the requested order."""
        levels, revision, seen = await self._levels(sorted(set(request.part_ids)), request.min_revision_token)
        found = {stock.part_id: stock for stock in responses.part_stocks(levels, seen)}
        requested = list(dict.fromkeys(request.part_ids))
        return pb.BatchGetStockResponse(
            stocks=[found[part_id] for part_id in requested if part_id in found],
            missing_part_ids=[part_id for part_id in requested if part_id not in found],
            revision_token=self.feed.token_for(revision),
        )

    async def ListStock(self, request: pb.ListStockRequest, context: Context) -> pb.ListStockResponse:
        """Return a page of levels; for the public, of published parts."""
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
        """Return the levels that the caller may read, the revision, and the field groups the caller may read."""
        await self.feed.wait_for(min_token)
        seen = groups(current_caller(), "inventory")
        if Group.STAFF in seen:
            return *await self.queries.levels_of(part_ids), seen
        await self.published.wait_for(min_token)
        found = await self.queries.levels_of(part_ids, only_published=True)
        missing = frozenset(part_ids).difference(level.part_id for level in found[0])
        if missing and await self.published.learn(missing):
            found = await self.queries.levels_of(part_ids, only_published=True)
        return *found, seen


class StockWrites(Base):
    """Writes of levels. They require `stock:write`."""

    async def _write_level(self, request: WriteRequest, command: Command, response: type[ResponseT]) -> ResponseT:
        return await self.write(request, command, response, respond_with(response, "level", responses.level))

    async def SetStock(self, request: pb.SetStockRequest, context: Context) -> pb.SetStockResponse:
        """Set the counted number of units of a level; create a missing level."""
        require("stock:write")
        return await self._write_level(request, requests.set_stock(request), pb.SetStockResponse)

    async def AdjustStock(self, request: pb.AdjustStockRequest, context: Context) -> pb.AdjustStockResponse:
        """Change a level by a difference."""
        require("stock:write")
        command = requests.adjust_stock(request)
        command.if_match = seen_versions(request)
        return await self._write_level(request, command, pb.AdjustStockResponse)

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
        """Archive a level."""
        require("stock:write")
        return await self._write_level(request, requests.archive_stock(request), pb.ArchiveStockResponse)

    async def RestoreStock(self, request: pb.RestoreStockRequest, context: Context) -> pb.RestoreStockResponse:
        """Restore an archived level."""
        require("stock:write")
        return await self._write_level(request, requests.restore_stock(request), pb.RestoreStockResponse)

    async def SetReorderPoint(self, request: pb.SetReorderPointRequest, context: Context) -> pb.SetReorderPointResponse:
        """Set the number of units at which a level counts as low."""
        require("stock:write")
        return await self._write_level(request, requests.set_reorder_point(request), pb.SetReorderPointResponse)
