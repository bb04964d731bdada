"""``/reservations``: stock held for a cart. Anyone may hold stock; an anonymous cart proves itself by its owner key."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import msgspec
from google.protobuf.duration_pb2 import Duration
from litestar import Request, Response, Router, get, post
from litestar.params import Body, FromPath

from edge.clients import WRITE_SECONDS
from edge.dependencies import TheGate, TheServices
from edge.idempotency import request_id_for
from edge.identity.guards import known
from edge.json_bodies import JsonBody
from edge.openapi import PUBLIC_READ, PUBLIC_WRITE, refusals
from edge.operations import Creation, FreshRead, Write
from edge.representation import reply
from edge.views.reservation import Reservation, reservation_view
from edge.views.stock import MAX_UNITS, LocationId, PartId
from partstream.inventory.v1 import reservation_pb2, stock_service_pb2

OWNER_KEY = "Partstream-Owner-Key"

Ttl = Annotated[int, msgspec.Meta(ge=1, le=86_400)]


class Line(msgspec.Struct, forbid_unknown_fields=True):
    """Units of a part; without a location, of the one that has most."""

    part_id: PartId
    quantity: Annotated[int, msgspec.Meta(ge=1, le=MAX_UNITS)]
    location_id: LocationId | None = None


class HoldRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What to hold and for how long; lines of one part are summed."""

    lines: Annotated[list[Line], msgspec.Meta(min_length=1, max_length=100)]
    ttl_seconds: Ttl = 900
    order_reference: Annotated[str, msgspec.Meta(max_length=200)] = ""
    replaces_reservation_id: UUID | None = None


class ExtendRequest(msgspec.Struct, forbid_unknown_fields=True):
    """How long from now."""

    ttl_seconds: Ttl


@post(
    "/",
    dto=JsonBody[HoldRequest],
    return_dto=None,
    summary="Hold stock",
    operation_class=Creation,
    responses=refusals(*PUBLIC_WRITE),
)
async def create_reservation(
    request: Request[Any, Any, Any], services: TheServices, data: Annotated[HoldRequest, Body()]
) -> Response[Reservation]:
    """All lines or none. 409 names the lines that are short."""
    message = stock_service_pb2.CreateReservationRequest(
        request_id=request_id_for(request),
        lines=[
            reservation_pb2.ReservationLine(
                part_id=line.part_id, quantity=line.quantity, location_id=line.location_id or ""
            )
            for line in data.lines
        ],
        ttl=Duration(seconds=data.ttl_seconds),
        owner_key=_owner_key(request),
        order_reference=data.order_reference,
        replaces_reservation_id=str(data.replaces_reservation_id or ""),
    )
    answer = await services.ask_inventory(services.inventory.CreateReservation, message, seconds=WRITE_SECONDS)
    made = reservation_view(answer.reservation)
    return reply(made, status=201, headers={"Location": f"/api/v1/reservations/{made.reservation_id}"})


@get(
    "/{reservation_id:uuid}", summary="Show a reservation", operation_class=FreshRead, responses=refusals(*PUBLIC_READ)
)
async def show_reservation(
    request: Request[Any, Any, Any], services: TheServices, gate: TheGate, reservation_id: FromPath[UUID]
) -> Response[Reservation]:
    """The reservation as it is now."""
    message = stock_service_pb2.GetReservationRequest(
        reservation_id=str(reservation_id),
        owner_key=_owner_key(request),
        min_revision_token=gate.wanted(request),
    )
    answer = await services.ask_inventory(services.inventory.GetReservation, message)
    return reply(reservation_view(answer.reservation))


@post(
    "/{reservation_id:uuid}/commit",
    status_code=200,
    summary="Ship what is held",
    operation_class=Write,
    responses=refusals(*PUBLIC_WRITE),
)
async def commit_reservation(
    request: Request[Any, Any, Any], services: TheServices, reservation_id: FromPath[UUID]
) -> Response[Reservation]:
    """The stock leaves the house."""
    message = stock_service_pb2.CommitReservationRequest(
        request_id=request_id_for(request), reservation_id=str(reservation_id), owner_key=_owner_key(request)
    )
    answer = await services.ask_inventory(services.inventory.CommitReservation, message, seconds=WRITE_SECONDS)
    return reply(reservation_view(answer.reservation))


@post(
    "/{reservation_id:uuid}/release",
    status_code=200,
    summary="Give back",
    operation_class=Write,
    responses=refusals(*PUBLIC_WRITE),
)
async def release_reservation(
    request: Request[Any, Any, Any], services: TheServices, reservation_id: FromPath[UUID]
) -> Response[Reservation]:
    """The stock can be sold to others again."""
    message = stock_service_pb2.ReleaseReservationRequest(
        request_id=request_id_for(request), reservation_id=str(reservation_id), owner_key=_owner_key(request)
    )
    answer = await services.ask_inventory(services.inventory.ReleaseReservation, message, seconds=WRITE_SECONDS)
    return reply(reservation_view(answer.reservation))


@post(
    "/{reservation_id:uuid}/extend",
    dto=JsonBody[ExtendRequest],
    return_dto=None,
    status_code=200,
    summary="Hold longer",
    operation_class=Write,
    responses=refusals(*PUBLIC_WRITE),
)
async def extend_reservation(
    request: Request[Any, Any, Any],
    services: TheServices,
    reservation_id: FromPath[UUID],
    data: Annotated[ExtendRequest, Body()],
) -> Response[Reservation]:
    """A new end, counted from now."""
    message = stock_service_pb2.ExtendReservationRequest(
        request_id=request_id_for(request),
        reservation_id=str(reservation_id),
        ttl=Duration(seconds=data.ttl_seconds),
        owner_key=_owner_key(request),
    )
    answer = await services.ask_inventory(services.inventory.ExtendReservation, message, seconds=WRITE_SECONDS)
    return reply(reservation_view(answer.reservation))


def _owner_key(request: Request[Any, Any, Any]) -> str:
    return request.headers.get(OWNER_KEY, "")


reservations_router = Router(
    path="/reservations",
    guards=[known],
    tags=["reservations"],
    route_handlers=[
        create_reservation,
        show_reservation,
        commit_reservation,
        release_reservation,
        extend_reservation,
    ],
)
