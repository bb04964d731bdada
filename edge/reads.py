"""What public routes read, and whence: the facade that the cache stands behind.

``min_token`` is empty when whatever the caches hold is new enough; otherwise the read must show that revision or fail.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from chassis.errors import PartNotFound
from partstream.content.v1 import part_service_pb2
from partstream.inventory.v1 import stock_pb2, stock_service_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.clients import Services
    from partstream.content.v1 import part_pb2

# Value of `Cache-Status` when no cache took part (RFC 9211).
UPSTREAM: Final = "partstream; fwd=uri-miss"

MAX_BATCH: Final = 1000


class PartRead(NamedTuple):
    """A part, its stock (empty when it never had any), and what ``Cache-Status`` says of the read."""

    part: part_pb2.Part
    stock: stock_pb2.PartStock
    cache_status: str


class StockRead(NamedTuple):
    """The stock of a part."""

    stock: stock_pb2.PartStock
    cache_status: str


class CategoriesRead(NamedTuple):
    """Every category, depth first."""

    categories: Sequence[part_pb2.Category]
    cache_status: str


class ListingRead(NamedTuple):
    """A page of parts with their stock, in order, and the service's token of the next page."""

    rows: list[tuple[part_pb2.Part, stock_pb2.PartStock]]
    next_page_token: str
    cache_status: str


@dataclass(frozen=True, slots=True)
class ListingQuery:
    """One page of a listing, as the content service pages."""

    category_id: str = ""
    text: str = ""
    order: part_service_pb2.PartOrder.ValueType = part_service_pb2.PART_ORDER_UNSPECIFIED
    page_size: int = 50
    page_token: str = ""


class Reads(Protocol):
    """Reads of what the public may see."""

    async def part(self, part_id: str, min_token: str) -> PartRead:
        """A published part with its stock; ``PartNotFound``."""

    async def stock(self, part_id: str, min_token: str) -> StockRead:
        """The stock of a part; ``PartNotFound`` when there is neither stock nor a published part."""

    async def listing(self, query: ListingQuery, min_token: str) -> ListingRead:
        """A page of published parts with live stock."""

    async def categories(self, min_token: str) -> CategoriesRead:
        """Every category."""


class DirectReads:
    """Every read asks the services: what the caches fall back to."""

    def __init__(self, services: Services) -> None:
        """Use these services."""
        self._services = services

    async def part(self, part_id: str, min_token: str) -> PartRead:
        """Two calls, one after the other: most misses are parts that do not exist, and those need one."""
        return PartRead(await self._content(part_id, min_token), await self._stock(part_id, min_token), UPSTREAM)

    async def stock(self, part_id: str, min_token: str) -> StockRead:
        """One call when there is stock."""
        stock = await self._stock(part_id, min_token)
        if not stock.levels:
            await self._content(part_id, min_token)
        return StockRead(stock, UPSTREAM)

    async def listing(self, query: ListingQuery, min_token: str) -> ListingRead:
        """Two calls for a page of any size."""
        request = part_service_pb2.ListPartsRequest(
            category_id=query.category_id,
            query=query.text,
            order=query.order,
            page_size=query.page_size,
            page_token=query.page_token,
            min_revision_token=min_token,
        )
        listed = await self._services.ask_content(self._services.content.ListParts, request, anonymous=True)
        stocks = await self._stocks([part.part_id for part in listed.parts], min_token)
        rows = [(part, stocks.get(part.part_id) or no_stock(part.part_id)) for part in listed.parts]
        return ListingRead(rows, listed.next_page_token, UPSTREAM)

    async def categories(self, min_token: str) -> CategoriesRead:
        """One call."""
        request = part_service_pb2.ListCategoriesRequest(min_revision_token=min_token)
        answer = await self._services.ask_content(self._services.content.ListCategories, request, anonymous=True)
        return CategoriesRead(answer.categories, UPSTREAM)

    async def _content(self, part_id: str, min_token: str) -> part_pb2.Part:
        request = part_service_pb2.GetPartRequest(part_id=part_id, min_revision_token=min_token)
        answer = await self._services.ask_content(self._services.content.GetPart, request, anonymous=True)
        return answer.part

    async def _stock(self, part_id: str, min_token: str) -> stock_pb2.PartStock:
        request = stock_service_pb2.GetStockRequest(part_id=part_id, min_revision_token=min_token)
        try:
            answer = await self._services.ask_inventory(self._services.inventory.GetStock, request, anonymous=True)
        except PartNotFound:
            return no_stock(part_id)
        return answer.stock

    async def _stocks(self, part_ids: list[str], min_token: str) -> dict[str, stock_pb2.PartStock]:
        if not part_ids:
            return {}
        request = stock_service_pb2.BatchGetStockRequest(part_ids=part_ids, min_revision_token=min_token)
        answer = await self._services.ask_inventory(self._services.inventory.BatchGetStock, request, anonymous=True)
        return {stock.part_id: stock for stock in answer.stocks}


def no_stock(part_id: str) -> stock_pb2.PartStock:
    """The stock of a part that never had any."""
    return stock_pb2.PartStock(part_id=part_id, low_stock=True)
