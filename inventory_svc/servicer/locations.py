"""Locations."""

# ruff: noqa: N802, ARG002 - the names and parameters of the contract

from __future__ import annotations

from typing import TYPE_CHECKING

from chassis.caller import require
from inventory_svc.convert import responses
from inventory_svc.domain.commands import ArchiveLocation, CreateLocation
from inventory_svc.servicer.base import Base, respond_with
from partstream.inventory.v1 import stock_service_pb2 as pb

if TYPE_CHECKING:
    from inventory_svc.servicer.base import Context


class Locations(Base):
    """Methods of locations. They require `stock:read`; changes require `stock:write`."""

    async def CreateLocation(self, request: pb.CreateLocationRequest, context: Context) -> pb.CreateLocationResponse:
        """Create a location."""
        require("stock:write")
        command = CreateLocation(request.location_id, request.name)
        respond = respond_with(pb.CreateLocationResponse, "location", responses.location)
        return await self.write(request, command, pb.CreateLocationResponse, respond)

    async def ListLocations(self, request: pb.ListLocationsRequest, context: Context) -> pb.ListLocationsResponse:
        """Return every location, archived ones included."""
        require("stock:read")
        await self.feed.wait_for(request.min_revision_token)
        found, revision = await self.queries.locations()
        return pb.ListLocationsResponse(
            locations=[responses.location(item) for item in found], revision_token=self.feed.token_for(revision)
        )

    async def ArchiveLocation(self, request: pb.ArchiveLocationRequest, context: Context) -> pb.ArchiveLocationResponse:
        """Archive a location."""
        require("stock:write")
        respond = respond_with(pb.ArchiveLocationResponse, "location", responses.location)
        return await self.write(request, ArchiveLocation(request.location_id), pb.ArchiveLocationResponse, respond)
