"""The same cache over each kind of second tier: none, Redis, and a Redis that does not respond."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from changelog.follower import ChangeBatch
from chassis.errors import StoreUnavailable
from edge.cache import keys
from edge.cache.follow import CategoryTree, Freshness, MemorySink, PartChangeReader, SharedSink, read_stock_change
from edge.cache.manager import CacheManager, Loaded
from edge.cache.memory import LogChange, MemoryCache
from edge.cache.retry import RetryQueue
from edge.cache.shared import SharedCache
from edge.cache.values import Absent
from partstream.content.v1 import part_pb2
from tests.edge.live.histories import Shop


@dataclass
class Stream:
    """How long ago the service sent a message."""

    is_connected: bool = True
    age: float = 0.0

    def age_seconds(self) -> float:
        return self.age


@dataclass
class Source:
    """The services: respond from a shop, or are unavailable."""

    shop: Shop
    is_unavailable: bool = False
    calls: list[list[str]] = field(default_factory=list)

    async def stocks(self, part_ids: list[str], min_token: str) -> Loaded:
        self._record_call(part_ids)
        truth = self.shop.stock
        return Loaded({part_id: truth.read(part_id) for part_id in part_ids}, self.shop.cursor("inventory", truth.head))

    async def parts(self, part_ids: list[str], min_token: str) -> Loaded:
        self._record_call(part_ids)
        values = {part_id: self.shop.parts.get(part_id, Absent()) for part_id in part_ids}
        return Loaded(values, self.shop.cursor("content", len(self.shop.content_log)))

    def _record_call(self, part_ids: list[str]) -> None:
        self.calls.append(part_ids)
        if self.is_unavailable:
            raise StoreUnavailable("Service unavailable.")


class Edge:
    """One process: a cache, its source and the sinks that its followers feed."""

    def __init__(self, shop: Shop, shared: SharedCache) -> None:
        self.shop = shop
        self.source = Source(shop)
        self.streams = {log: Stream() for log in keys.LOGS}
        self.memory = MemoryCache()
        self.shared = shared
        self.retries = RetryQueue(shared, self.memory)
        loaders: dict[str, Callable[[list[str], str], Awaitable[Loaded]]] = {
            keys.STOCK.name: self.source.stocks,
            keys.PART.name: self.source.parts,
        }
        self.cache = CacheManager(self.memory, shared, self.retries, loaders, self.streams)
        self.tree = CategoryTree()
        readers: dict[str, Callable[[Any], LogChange]] = {
            keys.INVENTORY: read_stock_change,
            keys.CONTENT: PartChangeReader(self.tree),
        }
        self.sinks = {log: MemorySink(log, self.memory, readers[log], Freshness(lambda: True)) for log in keys.LOGS}
        self.shared_sinks = {log: SharedSink(log, shared, readers[log]) for log in keys.LOGS}
        self.applied = dict.fromkeys(keys.LOGS, 0)
        self.applied_to_shared = dict.fromkeys(keys.LOGS, 0)

    async def begin(self, *, feeds_shared: bool) -> None:
        for log in keys.LOGS:
            self.applied[log] = self.applied_to_shared[log] = self._head(log)
            await self.sinks[log].apply(self._batch(log, self._head(log), self._head(log)))
            if feeds_shared:
                await self.shared_sinks[log].position()
                await self.shared_sinks[log].apply(self._batch(log, self._head(log), self._head(log)))

    async def follow(self) -> None:
        """Bring memory up to the services."""
        for log in keys.LOGS:
            await self.sinks[log].apply(self._batch(log, self.applied[log], self._head(log)))
            self.applied[log] = self._head(log)

    async def feed_shared(self) -> None:
        """Bring Redis up to the services."""
        for log in keys.LOGS:
            await self.shared_sinks[log].apply(self._batch(log, self.applied_to_shared[log], self._head(log)))
            self.applied_to_shared[log] = self._head(log)

    async def settle(self) -> None:
        """Wait for background work."""
        await self.cache.settle()

    def _head(self, log: str) -> int:
        return self.shop.stock.head if log == keys.INVENTORY else len(self.shop.content_log)

    def _batch(self, log: str, after: int, until: int) -> ChangeBatch:
        entries = self.shop.stock.log if log == keys.INVENTORY else self.shop.content_log
        return ChangeBatch(self.shop.cursor(log, until), entries[after:until], fragment=False)


PUBLISHED = part_pb2.PART_STATUS_PUBLISHED


@pytest.fixture
def shop() -> Shop:
    """A part with stock."""
    shop = Shop()
    shop.move("A")
    shop.write("A", title="Old", category_id="leds", category_path=["LEDs"], status=PUBLISHED)
    return shop


@pytest.fixture(params=["memory only", "redis", "redis down"])
async def shared(request: pytest.FixtureRequest) -> AsyncIterator[SharedCache]:
    """Each kind of second tier."""
    url: str | None = None
    if request.param == "redis":
        url = request.getfixturevalue("redis_url")
    elif request.param == "redis down":
        url = f"redis://127.0.0.1:{request.getfixturevalue('free_port')}/0"
    made = SharedCache(url)
    yield made
    await made.close()


@pytest.fixture
async def edge(shop: Shop, shared: SharedCache) -> AsyncIterator[Edge]:
    """A process over each kind of second tier."""
    made = Edge(shop, shared)
    await made.begin(feeds_shared=await shared.ping())
    yield made
    await made.cache.close()
