"""``/admin/locations``: places that hold stock."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import Body, PathParameter

from edge.http.idempotency import request_id_for
from edge.http.json_bodies import JsonBody
from edge.http.representation import reply
from edge.identity.guards import permits
from edge.openapi.document import ADMIN_READ, ADMIN_WRITE, refusals
from edge.openapi.operations import FreshRead, Write
from edge.routes.dependencies import TheGate, TheServices
from edge.upstream.clients import WRITE_SECONDS
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
    """Every location, archived ones included."""
    message = stock_service_pb2.ListLocationsRequest(min_revision_token=gate.wanted(request))
    answer = await services.ask_inventory(services.inventory.ListLocations, message)
    return reply(LocationList([location_view(item) for item in answer.locations]))


@post(
    "/locations",
    dto=JsonBody[NewLocation],
    return_dto=None,
    guards=[permits("stock:write")],
    summary="Creates a location",
    response_description="The new location.",
    operation_class=Write,
    responses=refusals(*ADMIN_WRITE),
)
async def create_location(
    request: Request[Any, Any, Any], services: TheServices, data: Annotated[NewLocation, Body()]
) -> Response[Location]:
    """The new location."""
    message = stock_service_pb2.CreateLocationRequest(
        request_id=request_id_for(request), location_id=data.location_id, name=data.name
    )
    answer = await services.ask_inventory(services.inventory.CreateLocation, message, seconds=WRITE_SECONDS)
    return reply(location_view(answer.location), status=201)


@post(
    "/locations/{location_id:str}/archive",
    status_code=200,
    guards=[permits("stock:write")],
    summary="Archives a location",
    response_description="The archived location.",
    operation_class=Write,
    responses=refusals(*ADMIN_WRITE),
)
async def archive_location(
    request: Request[Any, Any, Any],
    services: TheServices,
    location_id: Annotated[str, PathParameter(pattern=ID_PATTERN)],
) -> Response[Location]:
    """Refused while it holds stock."""
    message = stock_service_pb2.ArchiveLocationRequest(request_id=request_id_for(request), location_id=location_id)
    answer = await services.ask_inventory(services.inventory.ArchiveLocation, message, seconds=WRITE_SECONDS)
    return reply(location_view(answer.location))
