"""``/parts/{part_id}/stock``: the live stock of a part."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Request, Response, get

from edge.http.preconditions import version_tag
from edge.http.representation import Representation, respond
from edge.http.request_context import current_request_context
from edge.identity.guards import known
from edge.openapi.document import PUBLIC_READ, refusals
from edge.openapi.operations import CachedRead
from edge.routes.dependencies import TheShop
from edge.routes.public.parts import PartIdInPath
from edge.views.stock import PublicStock, public_stock
from partstream.inventory.v1.stock_pb2 import PartStock


@get(
    "/parts/{part_id:str}/stock",
    guards=[known],
    summary="Returns the stock of a part",
    response_description="The stock of the part over all locations.",
    operation_class=CachedRead,
    responses=refusals(304, *PUBLIC_READ),
)
async def get_stock(request: Request[Any, Any, Any], shop: TheShop, part_id: PartIdInPath) -> Response[PublicStock]:
    """Returns the live stock over all locations. The ETag is the version, in the epoch of the database."""
    stock, status = await shop.reads.stock(part_id, await shop.gate.settle(request))
    epoch = current_request_context().epoch_of("inventory")
    return respond(request, Representation.of(public_stock(stock), tag=stock_tag(stock, epoch)), cache_status=status)


def stock_tag(stock: PartStock, epoch: UUID | None) -> str:
    """Return the version. A reorder point changes without a version, so the tag also has `low_stock`.

    Over several locations it is a sum, marked so that it does not pass for the version of one level.
    """
    tag = version_tag(stock.version, epoch, kind="sum-" if len(stock.levels) > 1 else "")
    return f"{tag}-low" if stock.low_stock and stock.in_stock else tag
