"""``/admin/stock``: adjust many levels, transfer between locations, list levels."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get
from litestar.params import Body, FromQuery, QueryParameter

from chassis.errors import FieldViolation
from edge.http.errors import RuleBroken
from edge.http.page_tokens import Page
from edge.http.representation import reply
from edge.identity.guards import permits
from edge.openapi.document import ADMIN_READ, refusals
from edge.openapi.operations import FreshRead
from edge.routes.admin.stock import MAIN
from edge.routes.dependencies import TheGate, ThePageTokens, TheServices
from edge.routes.write import TheWrite, write_route
from edge.views.batch import BatchResult, batch_view
from edge.views.ledger import AdjustmentKind, kind_number
from edge.views.stock import (
    ID_PATTERN,
    MAX_UNITS,
    Delta,
    LevelList,
    LocationId,
    PartId,
    Reason,
    Transfer,
    Units,
    Version,
    level_view,
)
from partstream.inventory.v1 import stock_service_pb2


class Adjustment(msgspec.Struct, forbid_unknown_fields=True):
    """One item of a batch; the reason defaults to that of the batch."""

    part_id: PartId
    delta: Delta
    location_id: LocationId = MAIN
    reason: Reason = ""
    expected_version: Version | None = None
    expected_on_hand: Units | None = None
    kind: AdjustmentKind = "adjusted"


class BatchRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Adjustments, applied in order in one transaction. ``atomic``: all or none; else each has its own result."""

    adjustments: Annotated[list[Adjustment], msgspec.Meta(min_length=1, max_length=1000)]
    atomic: bool = False
    reason: Reason = ""


class TransferRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Units to transfer between two locations."""

    part_id: PartId
    to_location_id: LocationId
    quantity: Annotated[int, msgspec.Meta(ge=1, le=MAX_UNITS)]
    from_location_id: LocationId = MAIN
    reason: Reason = ""
    expected_version: Version | None = None


@write_route(
    "POST",
    "/stock/batch",
    guard=permits("stock:write"),
    summary="Adjusts the stock of many parts",
    returns="One result for each item, in the order of the request.",
)
async def adjust_stock_batch(write: TheWrite, data: Annotated[BatchRequest, Body()]) -> Response[BatchResult]:
    """Returns one result per item, in the order of the request."""
    message = stock_service_pb2.BatchAdjustStockRequest(
        adjustments=[_adjustment(item) for item in data.adjustments],
        atomic=data.atomic,
        reason=data.reason,
    )
    response = await write.send(write.inventory.BatchAdjustStock, message)
    return reply(batch_view(response))


def _adjustment(item: Adjustment) -> stock_service_pb2.StockAdjustment:
    return stock_service_pb2.StockAdjustment(
        part_id=item.part_id,
        location_id=item.location_id,
        delta=item.delta,
        expected_version=item.expected_version,
        expected_on_hand=item.expected_on_hand,
        kind=kind_number(item.kind),
        reason=item.reason,
    )


@write_route(
    "POST",
    "/stock/transfer",
    guard=permits("stock:write"),
    summary="Moves stock between two locations",
    returns="Both levels after the transfer.",
)
async def transfer_stock(write: TheWrite, data: Annotated[TransferRequest, Body()]) -> Response[Transfer]:
    """Returns both levels after the transfer."""
    if data.from_location_id == data.to_location_id:
        detail = "The locations must differ."
        raise RuleBroken(detail, fields=[FieldViolation("to_location_id", "is the location it comes from")])
    message = stock_service_pb2.TransferStockRequest(
        part_id=data.part_id,
        from_location_id=data.from_location_id,
        to_location_id=data.to_location_id,
        quantity=data.quantity,
        expected_version=data.expected_version,
        reason=data.reason,
    )
    response = await write.send(write.inventory.TransferStock, message)
    return reply(Transfer(level_view(response.from_level), level_view(response.to_level)))


@get(
    "/stock",
    guards=[permits("stock:read")],
    summary="Lists stock levels",
    response_description="One page of stock levels.",
    operation_class=FreshRead,
    responses=refusals(*ADMIN_READ),
)
async def list_levels(  # noqa: PLR0913 - each is a query parameter
    *,
    request: Request[Any, Any, Any],
    services: TheServices,
    gate: TheGate,
    page_tokens: ThePageTokens,
    location_id: Annotated[str | None, QueryParameter(pattern=ID_PATTERN)] = None,
    low_stock: FromQuery[bool | None] = None,
    in_stock: FromQuery[bool | None] = None,
    archived: Annotated[bool, QueryParameter(description="archived levels too")] = False,
    page_size: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
    page_token: FromQuery[str] = "",
) -> Response[LevelList]:
    """Returns levels by part and location."""
    filters = {"location": location_id, "low": low_stock, "in": in_stock, "archived": archived, "list": "levels"}
    message = stock_service_pb2.ListStockRequest(
        location_id=location_id or "",
        low_stock=low_stock,
        in_stock=in_stock,
        show_archived=archived,
        page_size=page_size,
        page_token=page_tokens.read(page_token, filters).upstream,
        min_revision_token=gate.wanted(request),
    )
    response = await services.call_upstream(services.inventory.ListStock, message)
    following = Page(response.next_page_token) if response.next_page_token else None
    return reply(LevelList([level_view(item) for item in response.levels], page_tokens.issue(following, filters)))
