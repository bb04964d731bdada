"""Public reads through the cache, served from memory, Redis or the services.

An empty ``min_token`` accepts the revision that the cache holds; otherwise a read shows that revision or fails.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from changelog import cursor as cursors
from changelog.visibility import Group, can_read
from chassis.errors import EpochChanged, NotFound, ResourceRef
from edge.cache import keys
from edge.cache.manager import CacheManager, CacheResult, Loaded
from edge.cache.values import Absent, Listing, cached_level, total
from edge.http.request_context import current_request_context
from partstream.content.v1 import part_pb2, part_service_pb2
from partstream.inventory.v1 import stock_pb2, stock_service_pb2

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from edge.upstream.clients import Services

# Value of `Cache-Status` when no cache took part (RFC 9211).
UPSTREAM: Final = "partstream; fwd=uri-miss"
LARGEST_PAGE: Final = 200  # of a listing, by its contract
TIERS: Final = ("memory", "shared", "stale", "source")  # from best to worst


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


def no_stock(part_id: str) -> stock_pb2.PartStock:
    """Return the stock of a part that never had any."""
    return stock_pb2.PartStock(part_id=part_id, low_stock=True)


def source_loaders(services: Services) -> dict[str, Callable[[list[str], str], Awaitable[Loaded]]]:
    """Return the loaders of missing parts and stocks: public parts, and stock with every level.

    Views decide what a caller gets of a level.
    """

    async def stocks(part_ids: list[str], min_token: str) -> Loaded:
        request = stock_service_pb2.BatchGetStockRequest(part_ids=part_ids, min_revision_token=min_token)
        response = await services.call_upstream(services.inventory.BatchGetStock, request, own=True)
        values: dict[str, Any] = {part_id: no_stock(part_id) for part_id in part_ids}
        values.update(
            (stock.part_id, total(stock.part_id, map(cached_level, stock.levels))) for stock in response.stocks
        )
        return Loaded(values, response.revision_token)

    async def parts(part_ids: list[str], min_token: str) -> Loaded:
        request = part_service_pb2.BatchGetPartsRequest(part_ids=part_ids, min_revision_token=min_token)
        response = await services.call_upstream(services.content.BatchGetParts, request, anonymous=True)
        values: dict[str, Any] = {part_id: Absent() for part_id in part_ids}
        values.update((part.part_id, part) for part in response.parts)
        return Loaded(values, response.revision_token)

    return {keys.STOCK.name: stocks, keys.PART.name: parts}


class CachedReads:
    """Reads of public routes, and the batch reads that live subscriptions start with."""

    def __init__(self, cache: CacheManager, services: Services) -> None:
        """Read through ``cache``; load missing listings and categories from ``services``."""
        self._cache = cache
        self._services = services

    async def part(self, part_id: str, min_token: str) -> PartRead:
        """Return a published part with its stock; raise ``NotFound``."""
        content = await self._cache.get(keys.PART, part_id, min_token)
        if isinstance(content.value, Absent):
            raise _no_part(part_id)
        stock = await self._cache.get(keys.STOCK, part_id, min_token)
        self._record_shown(keys.CONTENT, content)
        self._record_shown(keys.INVENTORY, stock)
        return PartRead(content.value, stock.value, cache_status((content, stock)))

    async def stock(self, part_id: str, min_token: str) -> StockRead:
        """Return the stock of a published part, for staff of any part with stock; raise ``NotFound``."""
        content = await self._cache.get(keys.PART, part_id, min_token)
        is_hidden = isinstance(content.value, Absent)
        if is_hidden and not can_read(current_request_context().caller, keys.INVENTORY, Group.STAFF):
            raise _no_part(part_id)
        stock = await self._cache.get(keys.STOCK, part_id, min_token)
        if is_hidden and not stock.value.levels:
            raise _no_part(part_id)
        self._record_shown(keys.CONTENT, content)
        self._record_shown(keys.INVENTORY, stock)
        return StockRead(stock.value, cache_status((content, stock)))

    async def listing(self, query: ListingQuery, min_token: str) -> ListingRead:
        """Return a page of published parts with live stock; every part and stock has its own entry."""
        listed = await self._listed(query, min_token)
        listing: Listing = listed.value
        parts = await self.parts(listing.part_ids, min_token)
        stocks = await self.stocks(listing.part_ids, min_token)
        self._record_shown(keys.CONTENT, listed, *parts.values())
        self._record_shown(keys.INVENTORY, *stocks.values())
        rows: list[tuple[part_pb2.Part, stock_pb2.PartStock]] = [
            (parts[part_id].value, stocks[part_id].value)
            for part_id in listing.part_ids
            if not isinstance(parts[part_id].value, Absent)
        ]
        status = cache_status((listed, *parts.values(), *stocks.values()))
        return ListingRead(rows, listing.next_page_token, status)

    async def category_page(self, category_id: str, page_token: str, min_token: str = "") -> Listing:
        """Return ids of published parts in a category and its subtree; raise ``NotFound``."""
        order = part_service_pb2.PART_ORDER_PART_ID
        query = ListingQuery(category_id, order=order, page_size=LARGEST_PAGE, page_token=page_token)
        listing: Listing = (await self._listed(query, min_token)).value
        return listing

    async def _listed(self, query: ListingQuery, min_token: str) -> CacheResult:
        ident = _ident(query)

        async def load(token: str) -> Loaded:
            return await self._list_parts(query, ident, token)

        tags = keys.listing_tags(query.category_id)
        return await self._cache.get_tagged(keys.LISTING, ident, tags, load, min_token)

    async def categories(self, min_token: str) -> CategoriesRead:
        """Return every category."""
        tags = (keys.TREE_TAG, keys.COUNTS_TAG)
        found = await self._cache.get_tagged(keys.CATEGORIES, "tree", tags, self._list_categories, min_token)
        self._record_shown(keys.CONTENT, found)
        return CategoriesRead(found.value.categories, cache_status((found,)))

    async def parts(self, part_ids: Sequence[str], min_token: str = "") -> Mapping[str, CacheResult]:
        """Return the content of many parts; ``Absent`` where none is public."""
        return await self._cache.get_many(keys.PART, part_ids, min_token) if part_ids else {}

    async def stocks(self, part_ids: Sequence[str], min_token: str = "") -> Mapping[str, CacheResult]:
        """Return the stock of many parts; without levels where there never was any."""
        return await self._cache.get_many(keys.STOCK, part_ids, min_token) if part_ids else {}

    async def _list_parts(self, query: ListingQuery, ident: str, min_token: str) -> Loaded:
        request = part_service_pb2.ListPartsRequest(
            category_id=query.category_id,
            query=query.text,
            order=query.order,
            page_size=query.page_size,
            page_token=query.page_token,
            min_revision_token=min_token,
        )
        response = await self._services.call_upstream(self._services.content.ListParts, request, anonymous=True)
        self._cache.keep(keys.PART, Loaded({part.part_id: part for part in response.parts}, response.revision_token))
        listing = Listing(tuple(part.part_id for part in response.parts), response.next_page_token)
        return Loaded({ident: listing}, response.revision_token)

    async def _list_categories(self, min_token: str) -> Loaded:
        request = part_service_pb2.ListCategoriesRequest(min_revision_token=min_token)
        response = await self._services.call_upstream(self._services.content.ListCategories, request, anonymous=True)
        return Loaded({"tree": response}, response.revision_token)

    def _record_shown(self, log: str, *results: CacheResult) -> None:
        """Make the response's token cover what was read ahead of this process's followers.

        Raise ``EpochChanged`` when a value is of another epoch than the one in which the followers reached the caller's
        revision: the database was restored, and the followers have not received that yet.
        """
        here = self._cache.memory.position(log)
        context = current_request_context()
        promised = context.promised.get(log)
        for result in results:
            epoch = result.epoch or (here.epoch if here is not None else None)
            if promised is not None and epoch != promised:
                message = "The log has begun a new epoch: what your revision stands for may be gone."
                raise EpochChanged(message)
            if epoch is not None:
                context.epochs.add((log, epoch))
            if epoch is not None and (here is None or epoch != here.epoch or result.revision > here.revision):
                context.record_revision(cursors.encode(cursors.Position(log, epoch, result.revision)))


def cache_status(results: Iterable[CacheResult]) -> str:
    """Return ``Cache-Status`` (RFC 9211) of the worst of several results, with the age of the cache."""
    worst = max(results, key=lambda result: TIERS.index(result.tier))
    if worst.tier == "source":
        return UPSTREAM
    age = min(worst.age_seconds, 999.0)
    if worst.is_stale:
        return f'partstream; hit; ttl=-{max(1, round(age))}; detail="stale, as of {age:.1f} s ago"'
    return f'partstream; hit; detail="{worst.tier}, as of {age:.1f} s ago"'


def _ident(query: ListingQuery) -> str:
    parts = (query.category_id, query.text, str(query.order), str(query.page_size), query.page_token)
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest()


def _no_part(part_id: str) -> NotFound:
    return NotFound(f"There is no part {part_id}.", reason="PART_NOT_FOUND", resource=ResourceRef("part", part_id))
