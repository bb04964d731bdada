"""Movements: the ledger of a part, and the reversal of a movement."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get
from litestar.params import Body, FromQuery, PathParameter, QueryParameter

from edge.http.numbers import NUMBER_IN_PATH
from edge.http.page_tokens import Page
from edge.http.representation import reply
from edge.http.timestamps import TimestampText, optional_query_timestamp, timestamp
from edge.identity.guards import permits
from edge.openapi.document import ADMIN_READ, refusals
from edge.openapi.operations import FreshRead
from edge.routes.dependencies import TheGate, ThePageTokens, TheServices
from edge.routes.public.parts import PartIdInPath
from edge.routes.write import TheWrite, write_route
from edge.views.ledger import KindName, MovementList, Reversal, kind_number, movement_view, reversal_view
from edge.views.stock import ID_PATTERN, Reason
from partstream.inventory.v1 import stock_service_pb2


class ReverseRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The reason of a reversal."""

    reason: Reason = ""


@get(
    "/parts/{part_id:str}/stock/movements",
    guards=[permits("stock:read")],
    summary="Lists the stock movements of a part",
    response_description="One page of movements, newest first.",
    operation_class=FreshRead,
    responses=refusals(*ADMIN_READ),
)
async def list_movements(  # noqa: PLR0913 - each is a query parameter
    *,
    request: Request[Any, Any, Any],
    services: TheServices,
    gate: TheGate,
    page_tokens: ThePageTokens,
    part_id: PartIdInPath,
    location_id: Annotated[str | None, QueryParameter(pattern=ID_PATTERN)] = None,
    since: TimestampText = None,
    until: TimestampText = None,
    kind: Annotated[list[KindName] | None, QueryParameter(description="may be repeated")] = None,
    actor: Annotated[str, QueryParameter(max_length=200)] = "",
    request_id: FromQuery[UUID | None] = None,
    page_size: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
    page_token: FromQuery[str] = "",
) -> Response[MovementList]:
    """Returns the movements of a part, newest first."""
    filters = {
        "part": part_id,
        "location": location_id,
        "since": since,
        "until": until,
        "kind": kind,
        "actor": actor,
        "request": request_id,
    }
    message = stock_service_pb2.ListMovementsRequest(
        part_id=part_id,
        location_id=location_id or "",
        since=timestamp(optional_query_timestamp("since", since)),
        until=timestamp(optional_query_timestamp("until", until)),
        kinds=[kind_number(item) for item in kind or ()],
        actor=actor,
        caused_by_request_id=str(request_id or ""),
        page_size=page_size,
        page_token=page_tokens.read(page_token, filters).upstream,
        min_revision_token=gate.wanted(request),
    )
    response = await services.call_upstream(services.inventory.ListMovements, message)
    following = Page(response.next_page_token) if response.next_page_token else None
    items = [movement_view(item) for item in response.movements]
    return reply(MovementList(items, page_tokens.issue(following, filters)))


@write_route(
    "POST",
    "/movements/{part_id:str}/{location_id:str}/{version:int}/reverse",
    guard=permits("stock:write"),
    summary="Reverses a movement by an opposite one",
    returns="The level after the reversal, and the new movement.",
)
async def reverse_movement(
    write: TheWrite,
    part_id: PartIdInPath,
    location_id: Annotated[str, PathParameter(pattern=ID_PATTERN)],
    version: Annotated[int, PathParameter(ge=1, le=9_000_000_000_000_000, description=NUMBER_IN_PATH)],
    data: Annotated[ReverseRequest | None, Body()] = None,
) -> Response[Reversal]:
    """Creates a compensating movement; rejected when fewer units than reserved would remain."""
    message = stock_service_pb2.ReverseMovementRequest(
        part_id=part_id,
        location_id=location_id,
        version=version,
        reason=data.reason if data else "",
    )
    response = await write.send(write.inventory.ReverseMovement, message)
    return reply(reversal_view(response))
