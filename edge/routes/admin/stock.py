"""``/admin/parts/{part_id}/stock``: count, adjust, and see what is there or was."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import grpc
import msgspec
from litestar import Request, Response, get, post, put
from litestar.params import Body, QueryParameter

from chassis.errors import FieldViolation
from edge.cache.decorators import cache_invalidate
from edge.http.errors import RuleBroken
from edge.http.idempotency import request_id_for
from edge.http.json_bodies import JsonBody
from edge.http.preconditions import precondition, version_etag
from edge.http.representation import reply
from edge.http.timestamps import MomentText, moment, timestamp
from edge.identity.guards import permits
from edge.openapi.document import ADMIN_READ, CONDITIONAL_WRITE, GUARDED_WRITE, refusals
from edge.openapi.operations import ConditionalWrite, TaggedRead
from edge.routes.admin.written import written_part
from edge.routes.dependencies import TheCache, TheGate, TheServices
from edge.routes.public.parts import PartIdInPath
from edge.upstream.clients import WRITE_SECONDS, Services
from edge.views.ledger import AdjustmentKind, PastLevel, kind_number, past_level
from edge.views.stock import (
    ID_PATTERN,
    Delta,
    Level,
    LocationId,
    Reason,
    StaffStock,
    Units,
    Version,
    level_view,
    staff_stock,
)
from partstream.inventory.v1 import stock_service_pb2

MAIN = "main"
INVENTORY = "inventory"  # the log whose epoch the tags name


class CountRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A counted number; ``expected_version`` 0 = the level must not exist yet."""

    on_hand: Units
    location_id: LocationId = MAIN
    reason: Reason = ""
    expected_version: Units | None = None


class AdjustRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A difference, with the reason for it."""

    delta: Delta
    location_id: LocationId = MAIN
    reason: Reason = ""
    expected_version: Version | None = None
    kind: AdjustmentKind = "adjusted"


class ReorderPointRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The level at or below which stock counts as low."""

    reorder_point: Units
    location_id: LocationId = MAIN
    expected_version: Version | None = None


class ArchiveRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Which level, and why."""

    location_id: LocationId = MAIN
    reason: Reason = ""
    expected_version: Version | None = None


@put(
    "/parts/{part_id:str}/stock",
    dto=JsonBody[CountRequest],
    return_dto=None,
    guards=[permits("stock:write")],
    summary="Sets the counted stock of a part",
    response_description="The level after the count.",
    responses=refusals(*GUARDED_WRITE),
    operation_class=ConditionalWrite,
)
@cache_invalidate(part_id=written_part)
async def set_stock(
    request: Request[Any, Any, Any],
    services: TheServices,
    cache: TheCache,  # noqa: ARG001 - the decorator's
    part_id: PartIdInPath,
    data: Annotated[CountRequest, Body()],
) -> Response[Level]:
    """The level after the count. 409 (or 412 with If-Match) shows what is there when it is not what you saw."""
    condition = precondition(request, data.expected_version)
    message = stock_service_pb2.SetStockRequest(
        request_id=request_id_for(request),
        part_id=part_id,
        location_id=data.location_id,
        on_hand=data.on_hand,
        expected_version=condition.version,
        unconditional=condition.unconditional,
        if_match=condition.if_match,
        allow_missing=condition.version == 0,
        reason=data.reason,
    )
    return await _level_after(services, services.inventory.SetStock, message)


@post(
    "/parts/{part_id:str}/stock/adjust",
    dto=JsonBody[AdjustRequest],
    return_dto=None,
    status_code=200,
    guards=[permits("stock:write")],
    summary="Adjusts the stock of a part by a difference",
    response_description="The level after the adjustment.",
    responses=refusals(*CONDITIONAL_WRITE),
    operation_class=ConditionalWrite,
)
@cache_invalidate(part_id=written_part)
async def adjust_stock(
    request: Request[Any, Any, Any],
    services: TheServices,
    cache: TheCache,  # noqa: ARG001 - the decorator's
    part_id: PartIdInPath,
    data: Annotated[AdjustRequest, Body()],
) -> Response[Level]:
    """The level after the difference. Without a version it is applied to whatever is there."""
    condition = precondition(request, data.expected_version, required=False)
    message = stock_service_pb2.AdjustStockRequest(
        request_id=request_id_for(request),
        part_id=part_id,
        location_id=data.location_id,
        delta=data.delta,
        expected_version=condition.version,
        if_match=condition.if_match,
        kind=kind_number(data.kind),
        reason=data.reason,
    )
    return await _level_after(services, services.inventory.AdjustStock, message)


@put(
    "/parts/{part_id:str}/stock/reorder-point",
    dto=JsonBody[ReorderPointRequest],
    return_dto=None,
    guards=[permits("stock:write")],
    summary="Sets the reorder point of a stock level",
    response_description="The level with its new reorder point.",
    responses=refusals(*CONDITIONAL_WRITE),
    operation_class=ConditionalWrite,
)
@cache_invalidate(part_id=written_part)
async def set_reorder_point(
    request: Request[Any, Any, Any],
    services: TheServices,
    cache: TheCache,  # noqa: ARG001 - the decorator's
    part_id: PartIdInPath,
    data: Annotated[ReorderPointRequest, Body()],
) -> Response[Level]:
    """The level with its new reorder point."""
    condition = precondition(request, data.expected_version, required=False)
    message = stock_service_pb2.SetReorderPointRequest(
        request_id=request_id_for(request),
        part_id=part_id,
        location_id=data.location_id,
        reorder_point=data.reorder_point,
        expected_version=condition.version,
        if_match=condition.if_match,
    )
    return await _level_after(services, services.inventory.SetReorderPoint, message)


@post(
    "/parts/{part_id:str}/stock/archive",
    dto=JsonBody[ArchiveRequest],
    return_dto=None,
    status_code=200,
    guards=[permits("stock:write")],
    summary="Archives a stock level",
    response_description="The archived level.",
    responses=refusals(*CONDITIONAL_WRITE),
    operation_class=ConditionalWrite,
)
@cache_invalidate(part_id=written_part)
async def archive_stock(
    request: Request[Any, Any, Any],
    services: TheServices,
    cache: TheCache,  # noqa: ARG001 - the decorator's
    part_id: PartIdInPath,
    data: Annotated[ArchiveRequest, Body()],
) -> Response[Level]:
    """The archived level. Refused while anything is reserved."""
    condition = precondition(request, data.expected_version, required=False)
    message = stock_service_pb2.ArchiveStockRequest(
        request_id=request_id_for(request),
        part_id=part_id,
        location_id=data.location_id,
        expected_version=condition.version,
        if_match=condition.if_match,
        reason=data.reason,
    )
    return await _level_after(services, services.inventory.ArchiveStock, message)


@post(
    "/parts/{part_id:str}/stock/restore",
    dto=JsonBody[ArchiveRequest],
    return_dto=None,
    status_code=200,
    guards=[permits("stock:write")],
    summary="Restores an archived stock level",
    response_description="The restored level.",
    responses=refusals(*CONDITIONAL_WRITE),
    operation_class=ConditionalWrite,
)
@cache_invalidate(part_id=written_part)
async def restore_stock(
    request: Request[Any, Any, Any],
    services: TheServices,
    cache: TheCache,  # noqa: ARG001 - the decorator's
    part_id: PartIdInPath,
    data: Annotated[ArchiveRequest, Body()],
) -> Response[Level]:
    """The level, live again."""
    condition = precondition(request, data.expected_version, required=False)
    message = stock_service_pb2.RestoreStockRequest(
        request_id=request_id_for(request),
        part_id=part_id,
        location_id=data.location_id,
        expected_version=condition.version,
        if_match=condition.if_match,
        reason=data.reason,
    )
    return await _level_after(services, services.inventory.RestoreStock, message)


@get(
    "/parts/{part_id:str}/stock",
    guards=[permits("stock:read")],
    summary="Returns the stock levels of a part, current or at a past time",
    response_description="The stock of the part, with the level of each location; with `at`, as it was at that time.",
    responses=refusals(*ADMIN_READ),
    operation_class=TaggedRead,
)
async def get_staff_stock(
    request: Request[Any, Any, Any],
    services: TheServices,
    gate: TheGate,
    part_id: PartIdInPath,
    at: MomentText = None,
    location_id: Annotated[str, QueryParameter(pattern=ID_PATTERN, description="for `at`; default `main`")] = MAIN,
) -> Response[StaffStock | PastLevel]:
    """Totals and levels as they are; with ``at``, one level as it was."""
    if at is None:
        message = stock_service_pb2.GetStockRequest(part_id=part_id, min_revision_token=gate.wanted(request))
        answer = await services.ask_inventory(services.inventory.GetStock, message)
        return reply(staff_stock(answer.stock), headers={"ETag": _stock_etag(answer)})
    past = stock_service_pb2.GetStockAtTimeRequest(
        part_id=part_id, location_id=location_id, time=timestamp(_past(moment("at", at)))
    )
    found = await services.ask_inventory(services.inventory.GetStockAtTime, past)
    return reply(past_level(part_id, location_id, past.time.ToJsonString(), found))


async def _level_after(
    services: Services, rpc: grpc.aio.UnaryUnaryMultiCallable[Any, Any], message: Any
) -> Response[Level]:
    """What every write of one level ends with."""
    answer = await services.ask_inventory(rpc, message, seconds=WRITE_SECONDS)
    etag = version_etag(answer.level.version, answer.revision_token, INVENTORY)
    return reply(level_view(answer.level), headers={"ETag": etag})


def _stock_etag(shown: stock_service_pb2.GetStockResponse) -> str:
    """The level's version where there is one level.

    The stock of several is told by a sum of versions, which must not pass for the version of one of them: whoever
    replaced a level under it could undo what they never saw. So it names no version, and ``If-Match`` never matches it.
    """
    kind = "" if len(shown.stock.levels) == 1 else "sum-"
    return version_etag(shown.stock.version, shown.revision_token, INVENTORY, kind=kind)


def _past(at: datetime) -> datetime:
    if at > datetime.now(UTC):
        message = "lies in the future"
        detail = "The moment lies in the future."
        raise RuleBroken(detail, fields=[FieldViolation("at", message)])
    return at
