"""``/admin/locations``: locations of stock."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get
from litestar.params import Body, PathParameter

from edge.http.representation import reply
from edge.identity.guards import permits
from edge.openapi.document import ADMIN_READ, refusals
from edge.openapi.operations import FreshRead
from edge.routes.dependencies import TheGate, TheServices
from edge.routes.write import TheWrite, write_route
from edge.views.location import Location, LocationList, location_view
from edge.views.stock import ID_PATTERN, LocationId
from partstream.inventory.v1 import stock_service_pb2


class NewLocation(msgspec.Struct, forbid_unknown_fields=True):
    """A location to create."""

    location_id: LocationId
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


@get(
    "/locations",
    guards=[permits("stock:read")],
    summary="Lists locations",
    response_description="One page of locations.",
    operation_class=FreshRead,
    responses=refusals(*ADMIN_READ),
)
async def list_locations(
    request: Request[Any, Any, Any], services: TheServices, gate: TheGate
) -> Response[LocationList]:
    """Returns every location, archived ones included."""
    message = stock_service_pb2.ListLocationsRequest(min_revision_token=gate.wanted(request))
    response = await services.call_upstream(services.inventory.ListLocations, message)
    return reply(LocationList([location_view(item) for item in response.locations]))


@write_route(
    "POST",
    "/locations",
    guard=permits("stock:write"),
    summary="Creates a location",
    returns="The new location.",
    status=201,
)
async def create_location(write: TheWrite, data: Annotated[NewLocation, Body()]) -> Response[Location]:
    """Returns the new location."""
    message = stock_service_pb2.CreateLocationRequest(location_id=data.location_id, name=data.name)
    response = await write.send(write.inventory.CreateLocation, message)
    return reply(location_view(response.location), status=201)


@write_route(
    "POST",
    "/locations/{location_id:str}/archive",
    guard=permits("stock:write"),
    summary="Archives a location",
    returns="The archived location.",
)
async def archive_location(
    write: TheWrite,
    location_id: Annotated[str, PathParameter(pattern=ID_PATTERN)],
) -> Response[Location]:
    """Archives the location. Rejected while it holds stock."""
    message = stock_service_pb2.ArchiveLocationRequest(location_id=location_id)
    response = await write.send(write.inventory.ArchiveLocation, message)
    return reply(location_view(response.location))
