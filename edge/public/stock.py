"""``/parts/{part_id}/stock``: what is left of a part."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get

from edge.dependencies import TheShop
from edge.identity.guards import known
from edge.openapi import PUBLIC_READ, refusals
from edge.operations import CachedRead
from edge.public.parts import PartIdInPath
from edge.representation import Representation, answer
from edge.views.stock import PublicStock, public_stock
from partstream.inventory.v1.stock_pb2 import PartStock


@get(
    "/parts/{part_id:str}/stock",
    guards=[known],
    summary="Show stock",
    operation_class=CachedRead,
    responses=refusals(304, *PUBLIC_READ),
)
async def show_stock(request: Request[Any, Any, Any], shop: TheShop, part_id: PartIdInPath) -> Response[PublicStock]:
    """Live stock over all locations. The ETag is the version."""
    stock, status = await shop.reads.stock(part_id, await shop.gate.settle(request))
    return answer(request, Representation.of(public_stock(stock), tag=stock_tag(stock)), cache_status=status)


def stock_tag(stock: PartStock) -> str:
    """The version. A reorder point moves without a version, so that being low while in stock is said besides."""
    return f"{stock.version}-low" if stock.low_stock and stock.in_stock else str(stock.version)
