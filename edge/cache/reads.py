"""Public reads behind the cache: what routes call, answered from memory, Redis or the services."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from changelog import cursor as cursors
from chassis.errors import EpochChanged, PartNotFound, ResourceRef
from chassis.visibility import Group, sees
from edge.cache import keys
from edge.cache.manager import Answer, CacheManager, Loaded
from edge.cache.values import Absent, Listing, cached_level, total
from edge.http.request_context import current_request_context
from edge.upstream.reads import UPSTREAM, CategoriesRead, ListingQuery, ListingRead, PartRead, StockRead, no_stock
from partstream.content.v1 import part_pb2, part_service_pb2
from partstream.inventory.v1 import stock_pb2, stock_service_pb2

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from edge.upstream.clients import Services

LARGEST_PAGE: Final = 200  # of a listing, by its contract
TIERS: Final = ("memory", "shared", "stale", "source")  # from best to worst


def source_loaders(services: Services) -> dict[str, Callable[[list[str], str], Awaitable[Loaded]]]:
    """How missing parts and stocks are read, many at once: parts as the public sees them, stock with every level.

    What a caller is shown of a level is decided where it is shown.
    """

    async def stocks(part_ids: list[str], min_token: str) -> Loaded:
        request = stock_service_pb2.BatchGetStockRequest(part_ids=part_ids, min_revision_token=min_token)
        answer = await services.call_upstream(services.inventory.BatchGetStock, request, own=True)
        values: dict[str, Any] = {part_id: no_stock(part_id) for part_id in part_ids}
        values.update((stock.part_id, total(stock.part_id, map(cached_level, stock.levels))) for stock in answer.stocks)
        return Loaded(values, answer.revision_token)

    async def parts(part_ids: list[str], min_token: str) -> Loaded:
        request = part_service_pb2.BatchGetPartsRequest(part_ids=part_ids, min_revision_token=min_token)
        answer = await services.call_upstream(services.content.BatchGetParts, request, anonymous=True)
        values: dict[str, Any] = {part_id: Absent() for part_id in part_ids}
        values.update((part.part_id, part) for part in answer.parts)
        return Loaded(values, answer.revision_token)

    return {keys.STOCK.name: stocks, keys.PART.name: parts}


class CachedReads:
    """``edge.upstream.reads.Reads`` over the cache; also the batch reads that live subscriptions begin with."""

    def __init__(self, cache: CacheManager, services: Services) -> None:
        """Read through ``cache``; listings and categories that are missing are read from ``services``."""
        self._cache = cache
        self._services = services

    async def part(self, part_id: str, min_token: str) -> PartRead:
        """A published part with its stock; ``PartNotFound``."""
        content = await self._cache.get(keys.PART, part_id, min_token)
        if isinstance(content.value, Absent):
            raise _no_part(part_id)
        stock = await self._cache.get(keys.STOCK, part_id, min_token)
        self._saw(keys.CONTENT, content)
        self._saw(keys.INVENTORY, stock)
        return PartRead(content.value, stock.value, cache_status((content, stock)))

    async def stock(self, part_id: str, min_token: str) -> StockRead:
        """The stock of a published part, for staff of any part with stock; ``PartNotFound``."""
        content = await self._cache.get(keys.PART, part_id, min_token)
        is_hidden = isinstance(content.value, Absent)
        if is_hidden and not sees(current_request_context().caller, keys.INVENTORY, Group.STAFF):
            raise _no_part(part_id)
        stock = await self._cache.get(keys.STOCK, part_id, min_token)
        if is_hidden and not stock.value.levels:
            raise _no_part(part_id)
        self._saw(keys.CONTENT, content)
        self._saw(keys.INVENTORY, stock)
        return StockRead(stock.value, cache_status((content, stock)))

    async def listing(self, query: ListingQuery, min_token: str) -> ListingRead:
        """A page of published parts with live stock: the listing gives ids, every part and stock has its own entry."""
        listed = await self._listed(query, min_token)
        listing: Listing = listed.value
        parts = await self.parts(listing.part_ids, min_token)
        stocks = await self.stocks(listing.part_ids, min_token)
        self._saw(keys.CONTENT, listed, *parts.values())
        self._saw(keys.INVENTORY, *stocks.values())
        rows: list[tuple[part_pb2.Part, stock_pb2.PartStock]] = [
            (parts[part_id].value, stocks[part_id].value)
            for part_id in listing.part_ids
            if not isinstance(parts[part_id].value, Absent)
        ]
        status = cache_status((listed, *parts.values(), *stocks.values()))
        return ListingRead(rows, listing.next_page_token, status)

    async def category_page(self, category_id: str, page_token: str, min_token: str = "") -> Listing:
        """Ids of published parts in a category and those below; ``CategoryNotFound``."""
        order = part_service_pb2.PART_ORDER_PART_ID
        query = ListingQuery(category_id, order=order, page_size=LARGEST_PAGE, page_token=page_token)
        listing: Listing = (await self._listed(query, min_token)).value
        return listing

    async def _listed(self, query: ListingQuery, min_token: str) -> Answer:
        ident = _ident(query)

        async def load(token: str) -> Loaded:
            return await self._list_parts(query, ident, token)

        tags = keys.listing_tags(query.category_id)
        return await self._cache.get_tagged(keys.LISTING, ident, tags, load, min_token)

    async def categories(self, min_token: str) -> CategoriesRead:
        """Every category."""
        tags = (keys.TREE_TAG, keys.COUNTS_TAG)
        found = await self._cache.get_tagged(keys.CATEGORIES, "tree", tags, self._list_categories, min_token)
        self._saw(keys.CONTENT, found)
        return CategoriesRead(found.value.categories, cache_status((found,)))

    async def parts(self, part_ids: Sequence[str], min_token: str = "") -> Mapping[str, Answer]:
        """Content of many parts; ``Absent`` where the public sees none."""
        return await self._cache.get_many(keys.PART, part_ids, min_token) if part_ids else {}

    async def stocks(self, part_ids: Sequence[str], min_token: str = "") -> Mapping[str, Answer]:
        """Stock of many parts; without levels where there never was any."""
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
        answer = await self._services.call_upstream(self._services.content.ListParts, request, anonymous=True)
        self._cache.keep(keys.PART, Loaded({part.part_id: part for part in answer.parts}, answer.revision_token))
        listing = Listing(tuple(part.part_id for part in answer.parts), answer.next_page_token)
        return Loaded({ident: listing}, answer.revision_token)

    async def _list_categories(self, min_token: str) -> Loaded:
        request = part_service_pb2.ListCategoriesRequest(min_revision_token=min_token)
        answer = await self._services.call_upstream(self._services.content.ListCategories, request, anonymous=True)
        return Loaded({"tree": answer}, answer.revision_token)

    def _saw(self, log: str, *answers: Answer) -> None:
        """Let the response's token cover what was read ahead of this process's followers.

        ``EpochChanged`` when a value is of another history than the one in which the followers had what the caller
        asked for: the database was restored, and the followers have not heard of it.
        """
        here = self._cache.memory.position(log)
        exchange = current_request_context()
        promised = exchange.promised.get(log)
        for answer in answers:
            epoch = answer.epoch or (here.epoch if here is not None else None)
            if promised is not None and epoch != promised:
                message = "The log has begun a new epoch: what your revision stands for may be gone."
                raise EpochChanged(message)
            if epoch is not None:
                exchange.epochs.add((log, epoch))
            if epoch is not None and (here is None or epoch != here.epoch or answer.revision > here.revision):
                exchange.saw(cursors.encode(cursors.Position(log, epoch, answer.revision)))


def cache_status(answers: Iterable[Answer]) -> str:
    """``Cache-Status`` (RFC 9211) of the worst of several answers, with the age of what the cache knows."""
    worst = max(answers, key=lambda answer: TIERS.index(answer.tier))
    if worst.tier == "source":
        return UPSTREAM
    age = min(worst.age_seconds, 999.0)
    if worst.is_stale:
        return f'partstream; hit; ttl=-{max(1, round(age))}; detail="stale, as of {age:.1f} s ago"'
    return f'partstream; hit; detail="{worst.tier}, as of {age:.1f} s ago"'


def _ident(query: ListingQuery) -> str:
    parts = (query.category_id, query.text, str(query.order), str(query.page_size), query.page_token)
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest()


def _no_part(part_id: str) -> PartNotFound:
    return PartNotFound(f"There is no part {part_id}.", resource=ResourceRef("part", part_id))
