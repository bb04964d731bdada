"""``/admin/parts/{part_id}/stock``: count, adjust, archive, and read current or past stock."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import grpc
import msgspec
from litestar import Request, Response, get
from litestar.params import Body, QueryParameter

from chassis.errors import FieldViolation
from edge.http.errors import RuleBroken
from edge.http.preconditions import version_etag
from edge.http.representation import reply
from edge.http.timestamps import TimestampText, query_timestamp, timestamp
from edge.identity.guards import permits
from edge.openapi.document import ADMIN_READ, refusals
from edge.openapi.operations import TaggedRead
from edge.routes.dependencies import TheGate, TheServices
from edge.routes.public.parts import PartIdInPath
from edge.routes.write import Condition, TheWrite, Write, write_route
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
    """A counted quantity; ``expected_version`` 0 = the level must not exist."""

    on_hand: Units
    location_id: LocationId = MAIN
    reason: Reason = ""
    expected_version: Units | None = None


class AdjustRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A difference and its reason."""

    delta: Delta
    location_id: LocationId = MAIN
    reason: Reason = ""
    expected_version: Version | None = None
    kind: AdjustmentKind = "adjusted"


class ReorderPointRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The threshold at or below which the stock is low."""

    reorder_point: Units
    location_id: LocationId = MAIN
    expected_version: Version | None = None


class ArchiveRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A stock level and the reason."""

    location_id: LocationId = MAIN
    reason: Reason = ""
    expected_version: Version | None = None


@write_route(
    "PUT",
    "/parts/{part_id:str}/stock",
    guard=permits("stock:write"),
    summary="Sets the counted stock of a part",
    returns="The level after the count.",
    condition=Condition.REQUIRED,
)
async def set_stock(
    write: TheWrite,
    part_id: PartIdInPath,
    data: Annotated[CountRequest, Body()],
) -> Response[Level]:
    """Returns the level after the count. A stale version is 409 (412 with If-Match) with the current level."""
    message = stock_service_pb2.SetStockRequest(
        part_id=part_id,
        location_id=data.location_id,
        on_hand=data.on_hand,
        allow_missing=data.expected_version == 0,
        reason=data.reason,
    )
    return await _level_after(write, write.inventory.SetStock, message, data)


@write_route(
    "POST",
    "/parts/{part_id:str}/stock/adjust",
    guard=permits("stock:write"),
    summary="Adjusts the stock of a part by a difference",
    returns="The level after the adjustment.",
    condition=Condition.OPTIONAL,
)
async def adjust_stock(
    write: TheWrite,
    part_id: PartIdInPath,
    data: Annotated[AdjustRequest, Body()],
) -> Response[Level]:
    """Returns the level after the adjustment. Without a version there is no version check."""
    message = stock_service_pb2.AdjustStockRequest(
        part_id=part_id,
        location_id=data.location_id,
        delta=data.delta,
        kind=kind_number(data.kind),
        reason=data.reason,
    )
    return await _level_after(write, write.inventory.AdjustStock, message, data)


@write_route(
    "PUT",
    "/parts/{part_id:str}/stock/reorder-point",
    guard=permits("stock:write"),
    summary="Sets the reorder point of a stock level",
    returns="The level with its new reorder point.",
    condition=Condition.OPTIONAL,
)
async def set_reorder_point(
    write: TheWrite,
    part_id: PartIdInPath,
    data: Annotated[ReorderPointRequest, Body()],
) -> Response[Level]:
    """Returns the level with its new reorder point."""
    message = stock_service_pb2.SetReorderPointRequest(
        part_id=part_id,
        location_id=data.location_id,
        reorder_point=data.reorder_point,
    )
    return await _level_after(write, write.inventory.SetReorderPoint, message, data)


@write_route(
    "POST",
    "/parts/{part_id:str}/stock/archive",
    guard=permits("stock:write"),
    summary="Archives a stock level",
    returns="The archived level.",
    condition=Condition.OPTIONAL,
)
async def archive_stock(
    write: TheWrite,
    part_id: PartIdInPath,
    data: Annotated[ArchiveRequest, Body()],
) -> Response[Level]:
    """Returns the archived level. Rejected while units are reserved."""
    message = stock_service_pb2.ArchiveStockRequest(
        part_id=part_id,
        location_id=data.location_id,
        reason=data.reason,
    )
    return await _level_after(write, write.inventory.ArchiveStock, message, data)


@write_route(
    "POST",
    "/parts/{part_id:str}/stock/restore",
    guard=permits("stock:write"),
    summary="Restores an archived stock level",
    returns="The restored level.",
    condition=Condition.OPTIONAL,
)
async def restore_stock(
    write: TheWrite,
    part_id: PartIdInPath,
    data: Annotated[ArchiveRequest, Body()],
) -> Response[Level]:
    """Returns the restored level."""
    message = stock_service_pb2.RestoreStockRequest(
        part_id=part_id,
        location_id=data.location_id,
        reason=data.reason,
    )
    return await _level_after(write, write.inventory.RestoreStock, message, data)


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
    at: TimestampText = None,
    location_id: Annotated[str, QueryParameter(pattern=ID_PATTERN, description="for `at`; default `main`")] = MAIN,
) -> Response[StaffStock | PastLevel]:
    """Returns totals and levels; with ``at``, one level at that time."""
    if at is None:
        message = stock_service_pb2.GetStockRequest(part_id=part_id, min_revision_token=gate.wanted(request))
        response = await services.call_upstream(services.inventory.GetStock, message)
        return reply(staff_stock(response.stock), headers={"ETag": _stock_etag(response)})
    past = stock_service_pb2.GetStockAtTimeRequest(
        part_id=part_id, location_id=location_id, time=timestamp(_past(query_timestamp("at", at)))
    )
    found = await services.call_upstream(services.inventory.GetStockAtTime, past)
    return reply(past_level(part_id, location_id, past.time.ToJsonString(), found))


async def _level_after(
    write: Write, rpc: grpc.aio.UnaryUnaryMultiCallable[Any, Any], message: Any, body: object
) -> Response[Level]:
    """Send a write of one level and return the level after it, with its ETag."""
    written = await write.send(rpc, message, body)
    etag = version_etag(written.level.version, written.revision_token, INVENTORY)
    return reply(level_view(written.level), headers={"ETag": etag})


def _stock_etag(shown: stock_service_pb2.GetStockResponse) -> str:
    """Return the tag of the level's version where there is one level.

    The stock of several levels has a sum of versions, which must not match the version of one of them: a client could
    replace a level that it never read. So the tag names no version, and ``If-Match`` never matches it.
    """
    kind = "" if len(shown.stock.levels) == 1 else "sum-"
    return version_etag(shown.stock.version, shown.revision_token, INVENTORY, kind=kind)


def _past(at: datetime) -> datetime:
    if at > datetime.now(UTC):
        message = "is in the future"
        detail = "The time is in the future."
        raise RuleBroken(detail, fields=[FieldViolation("at", message)])
    return at
