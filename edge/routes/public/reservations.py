"""``/reservations``: a guest authenticates its cart by a secret key, a customer by its account."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable
from typing import Annotated, Any, TypeVar
from uuid import UUID

import msgspec
from google.protobuf.duration_pb2 import Duration
from litestar import Request, Response, Router, get
from litestar.params import Body, FromPath, FromQuery, QueryParameter

from chassis.errors import FieldInvalid, FieldViolation
from edge.http.page_tokens import Page
from edge.http.representation import reply
from edge.http.request_context import current_request_context
from edge.identity.guards import known, permits
from edge.openapi.document import PUBLIC_READ, PUBLIC_WRITE, refusals
from edge.openapi.operations import CartRead
from edge.routes.dependencies import TheGate, ThePageTokens, TheServices
from edge.routes.public.owner_keys import OWNER_KEY, owner_key_of
from edge.routes.write import TheWrite, write_route
from edge.views.reservation import Reservation, ReservationList, StateName, reservation_view, state_number
from edge.views.stock import MAX_UNITS, LocationId, PartId
from partstream.inventory.v1 import reservation_pb2, stock_service_pb2

PERMISSION_NEEDED = 403
ResponseT = TypeVar("ResponseT")

Ttl = Annotated[int, msgspec.Meta(ge=1, le=86_400)]


class Line(msgspec.Struct, forbid_unknown_fields=True):
    """Units of a part; the location defaults to the one with the most available units."""

    part_id: PartId
    quantity: Annotated[int, msgspec.Meta(ge=1, le=MAX_UNITS)]
    location_id: LocationId | None = None


class HoldRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Lines to reserve and the duration; lines of the same part are summed."""

    lines: Annotated[list[Line], msgspec.Meta(min_length=1, max_length=100)]
    ttl_seconds: Ttl = 900
    order_reference: Annotated[str, msgspec.Meta(max_length=200)] = ""
    replaces_reservation_id: UUID | None = None


class ExtendRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The new duration, from now."""

    ttl_seconds: Ttl


@write_route(
    "POST",
    "/",
    guard=known,
    summary="Creates a reservation",
    returns="The reservation, held until it expires.",
    status=201,
    request_headers=("Partstream-Owner-Key",),
    statuses=PUBLIC_WRITE,
    response_headers=("Location", "Partstream-Owner-Key"),
)
async def create_reservation(write: TheWrite, data: Annotated[HoldRequest, Body()]) -> Response[Reservation]:
    """Reserves all lines or none. 409 names the lines without sufficient stock, or the limit of a guest's cart.

    A guest without `Partstream-Owner-Key` gets a generated one in that header, once.
    """
    owner_key = owner_key_of(write.request)
    generated = not owner_key and current_request_context().caller.is_anonymous
    if generated:
        owner_key = secrets.token_urlsafe(32)
    message = stock_service_pb2.CreateReservationRequest(
        lines=[
            reservation_pb2.ReservationLine(
                part_id=line.part_id, quantity=line.quantity, location_id=line.location_id or ""
            )
            for line in data.lines
        ],
        ttl=Duration(seconds=data.ttl_seconds),
        owner_key=owner_key,
        order_reference=data.order_reference,
        replaces_reservation_id=str(data.replaces_reservation_id or ""),
    )
    response = await _in_rest_names(write.send(write.inventory.CreateReservation, message))
    made = reservation_view(response.reservation)
    headers = {"Location": f"/api/v1/reservations/{made.reservation_id}"}
    return reply(made, status=201, headers={**headers, OWNER_KEY: owner_key} if generated else headers)


@get(
    "/",
    summary="Lists the reservations of the caller",
    response_description="One page of the caller's reservations, newest first.",
    operation_class=CartRead,
    guards=[known],
    responses=refusals(*PUBLIC_READ),
)
async def list_reservations(
    *,
    request: Request[Any, Any, Any],
    services: TheServices,
    gate: TheGate,
    page_tokens: ThePageTokens,
    only: Annotated[StateName | None, QueryParameter(name="state")] = None,
    page_size: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
    page_token: FromQuery[str] = "",
) -> Response[ReservationList]:
    """Returns the reservations of the account, and of the cart whose key is sent; newest first."""
    owner_key = owner_key_of(request)
    filters = {"state": only}
    message = stock_service_pb2.ListReservationsRequest(
        owner_key=owner_key,
        state=state_number(only),
        page_size=page_size,
        page_token=page_tokens.read(page_token, filters).upstream,
        min_revision_token=gate.wanted(request),
    )
    response = await services.call_upstream(services.inventory.ListReservations, message)
    following = Page(response.next_page_token) if response.next_page_token else None
    items = [reservation_view(item) for item in response.reservations]
    return reply(ReservationList(items, page_tokens.issue(following, filters)))


@get(
    "/{reservation_id:uuid}",
    summary="Returns a reservation",
    response_description="The reservation.",
    operation_class=CartRead,
    guards=[known],
    responses=refusals(*PUBLIC_READ),
)
async def get_reservation(
    request: Request[Any, Any, Any], services: TheServices, gate: TheGate, reservation_id: FromPath[UUID]
) -> Response[Reservation]:
    """Returns the current reservation."""
    message = stock_service_pb2.GetReservationRequest(
        reservation_id=str(reservation_id),
        owner_key=owner_key_of(request),
        min_revision_token=gate.wanted(request),
    )
    response = await services.call_upstream(services.inventory.GetReservation, message)
    return reply(reservation_view(response.reservation))


@write_route(
    "POST",
    "/{reservation_id:uuid}/commit",
    guard=permits("reservations:commit"),
    summary="Commits a reservation: the reserved stock is shipped",
    returns="The committed reservation.",
    request_headers=("Partstream-Owner-Key",),
    statuses=(
        *PUBLIC_WRITE,
        PERMISSION_NEEDED,
    ),
)
async def commit_reservation(write: TheWrite, reservation_id: FromPath[UUID]) -> Response[Reservation]:
    """Ships the reserved units. A guest signs in first and sends the owner key: the account takes over the cart."""
    message = stock_service_pb2.CommitReservationRequest(
        reservation_id=str(reservation_id), owner_key=owner_key_of(write.request)
    )
    response = await write.send(write.inventory.CommitReservation, message)
    return reply(reservation_view(response.reservation))


@write_route(
    "POST",
    "/{reservation_id:uuid}/release",
    guard=known,
    summary="Releases a reservation",
    returns="The released reservation.",
    request_headers=("Partstream-Owner-Key",),
    statuses=PUBLIC_WRITE,
)
async def release_reservation(write: TheWrite, reservation_id: FromPath[UUID]) -> Response[Reservation]:
    """Releases the reserved units: they are available again."""
    message = stock_service_pb2.ReleaseReservationRequest(
        reservation_id=str(reservation_id), owner_key=owner_key_of(write.request)
    )
    response = await write.send(write.inventory.ReleaseReservation, message)
    return reply(reservation_view(response.reservation))


@write_route(
    "POST",
    "/{reservation_id:uuid}/extend",
    guard=known,
    summary="Extends a reservation",
    returns="The reservation with its new expiry.",
    request_headers=("Partstream-Owner-Key",),
    statuses=PUBLIC_WRITE,
)
async def extend_reservation(
    write: TheWrite,
    reservation_id: FromPath[UUID],
    data: Annotated[ExtendRequest, Body()],
) -> Response[Reservation]:
    """Sets a new expiry, counted from now."""
    message = stock_service_pb2.ExtendReservationRequest(
        reservation_id=str(reservation_id),
        ttl=Duration(seconds=data.ttl_seconds),
        owner_key=owner_key_of(write.request),
    )
    response = await _in_rest_names(write.send(write.inventory.ExtendReservation, message))
    return reply(reservation_view(response.reservation))


async def _in_rest_names(call: Awaitable[ResponseT]) -> ResponseT:
    """Name the invalid field as in the body."""
    try:
        return await call
    except FieldInvalid as error:
        error.fields = tuple(
            FieldViolation("ttl_seconds", item.message) if item.path == "ttl" else item for item in error.fields
        )
        raise


reservations_router = Router(
    path="/reservations",
    tags=["reservations"],
    route_handlers=[
        create_reservation,
        list_reservations,
        get_reservation,
        commit_reservation,
        release_reservation,
        extend_reservation,
    ],
)
