"""The reads of public routes and their sources: the interface that the cache implements.

``min_token`` is empty when whatever the caches hold is new enough; otherwise the read must show that revision or fail.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from partstream.content.v1 import part_service_pb2
from partstream.inventory.v1 import stock_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

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
        """A published part with its stock; ``PART_NOT_FOUND``."""

    async def stock(self, part_id: str, min_token: str) -> StockRead:
        """The stock of a published part, for staff of any part with stock; ``PART_NOT_FOUND``."""

    async def listing(self, query: ListingQuery, min_token: str) -> ListingRead:
        """A page of published parts with live stock."""

    async def categories(self, min_token: str) -> CategoriesRead:
        """Every category."""


def no_stock(part_id: str) -> stock_pb2.PartStock:
    """The stock of a part that never had any."""
    return stock_pb2.PartStock(part_id=part_id, low_stock=True)
