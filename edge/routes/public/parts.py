"""``/parts``: listings and product pages, content and live stock in one body."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Final, Literal, TypeAlias

from litestar import Request, Response, get
from litestar.params import FromQuery, PathParameter, QueryParameter

from edge.cache.reads import CachedReads, ListingQuery
from edge.http.fields import fields_parameter, parse_fields
from edge.http.page_tokens import Page
from edge.http.representation import respond
from edge.identity.guards import known
from edge.openapi.document import PUBLIC_READ, refusals
from edge.openapi.operations import CachedRead
from edge.routes.dependencies import TheShop
from edge.routes.public.pages import render_listing, render_part
from edge.views.part import PartFields, PartFieldsList, PartList, PartPage, PartSummary
from edge.views.stock import ID_PATTERN
from partstream.content.v1 import part_service_pb2
from partstream.content.v1.part_pb2 import Part
from partstream.inventory.v1.stock_pb2 import PartStock

SortName = Literal["part_id", "title", "price", "-price", "-updated_at"]

ORDERS: Final[dict[SortName | None, part_service_pb2.PartOrder.ValueType]] = {
    None: part_service_pb2.PART_ORDER_UNSPECIFIED,
    "part_id": part_service_pb2.PART_ORDER_PART_ID,
    "title": part_service_pb2.PART_ORDER_TITLE,
    "price": part_service_pb2.PART_ORDER_PRICE_ASC,
    "-price": part_service_pb2.PART_ORDER_PRICE_DESC,
    "-updated_at": part_service_pb2.PART_ORDER_UPDATE_TIME_DESC,
}

# Stock is not known to the content service, so that a listing by stock reads on until its page is full; a page may
# come out short after this many reads, with a token to go on.
MOST_READS: Final = 5

ItemFields: TypeAlias = Annotated[str | None, fields_parameter("an item", PartSummary)]
PageFields: TypeAlias = Annotated[str | None, fields_parameter("the response", PartPage, PartSummary)]
PartIdInPath = Annotated[str, PathParameter(pattern=ID_PATTERN, max_length=64)]


@get(
    "/parts",
    guards=[known],
    summary="Lists published parts",
    response_description="One page of parts, each with its stock.",
    operation_class=CachedRead,
    responses=refusals(304, *PUBLIC_READ),
)
async def list_parts(  # noqa: PLR0913 - each is a query parameter
    *,
    request: Request[Any, Any, Any],
    shop: TheShop,
    category: Annotated[str, QueryParameter(pattern="^[a-z0-9-]{0,128}$", description="this category and below")] = "",
    q: Annotated[str, QueryParameter(max_length=200, description="words to search for")] = "",
    in_stock: Annotated[bool | None, QueryParameter(description="only parts that are, or are not, in stock")] = None,
    sort: FromQuery[SortName | None] = None,
    page_size: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
    page_token: FromQuery[str] = "",
    fields: ItemFields = None,
) -> Response[PartList | PartFieldsList]:
    """Returns a page of published parts with live stock; with ``in_stock``, pages may have fewer items."""
    wanted = parse_fields(fields, PartSummary)
    filters = {"category": category, "q": q, "in_stock": in_stock, "sort": sort}
    page = shop.page_tokens.read(page_token, filters)
    query = ListingQuery(category, q, ORDERS[sort], page_size, page.upstream)
    rows, following, status = await _rows(
        shop.reads, query, page.skip, await shop.gate.settle(request), in_stock=in_stock
    )
    shown = render_listing(
        cache=shop.cache, rows=rows, next_page_token=shop.page_tokens.issue(following, filters), fields=wanted
    )
    return respond(request, shown, cache_status=status)


async def _rows(
    reads: CachedReads, query: ListingQuery, skip: int, min_token: str, *, in_stock: bool | None
) -> tuple[list[tuple[Part, PartStock]], Page | None, str]:
    """Return up to a page of rows, the start of the next page (``None`` = last page), and the cache status."""
    found: list[tuple[Part, PartStock]] = []
    for _ in range(MOST_READS):
        read = await reads.listing(query, min_token)
        for at, row in enumerate(read.rows[skip:], start=skip):
            if in_stock is not None and row[1].in_stock != in_stock:
                continue
            if len(found) == query.page_size:
                return found, Page(query.page_token, at), read.cache_status
            found.append(row)
        if not read.next_page_token:
            return found, None, read.cache_status
        query, skip = replace(query, page_token=read.next_page_token), 0
        # Without the condition every further row belongs to the next page; with it, one has to be found first.
        if in_stock is None and len(found) == query.page_size:
            break
    return found, Page(query.page_token), read.cache_status


@get(
    "/parts/{part_id:str}",
    guards=[known],
    summary="Returns a part with its stock",
    response_description="The part with its stock.",
    operation_class=CachedRead,
    responses=refusals(304, *PUBLIC_READ),
)
async def get_part(
    request: Request[Any, Any, Any],
    shop: TheShop,
    part_id: PartIdInPath,
    view: FromQuery[Literal["summary", "full"]] = "full",
    fields: PageFields = None,
) -> Response[PartPage | PartSummary | PartFields]:
    """Returns content and stock in one body. ``view=summary`` is sufficient for a first paint."""
    wanted = parse_fields(fields, PartPage if view == "full" else PartSummary)
    part, stock, status = await shop.reads.part(part_id, await shop.gate.settle(request))
    shown = render_part(cache=shop.cache, part=part, stock=stock, view=view, fields=wanted)
    return respond(request, shown, cache_status=status)
