"""Follow both logs: one follower per log in every process updates memory and then the clients.

Redis is updated by one process, the leader, through followers of its own, so that a slow Redis delays neither.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from changelog import cursor as cursors
from changelog.follower import FanOut, Follower
from chassis.background import BackgroundService, LeaderElection
from edge import metrics
from edge.cache import keys
from edge.cache.consistency import CacheConsistencyManager
from edge.cache.follow import CategoryTree, Freshness, MemorySink, PartChangeReader, SharedSink, read_stock_change
from edge.cache.manager import CacheManager
from edge.cache.memory import MemoryCache
from edge.cache.reads import CachedReads, source_loaders
from edge.cache.retry import RetryQueue
from edge.cache.shared import SharedCache
from edge.live.change_history import LogPages
from edge.live.part_states import PartStates
from edge.live.publisher import EventPublisher
from edge.upstream.follower_metrics import FOLLOWERS, status_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from changelog.follower import ChangeBatch, ChangeSource
    from chassis.redis_quarantine import OnQuarantine
    from edge.cache.memory import LogChange
    from edge.upstream.clients import Services

SHARED_LOCK: Final = (7310, 1)  # in the edge's database: its holder applies the logs to Redis
TREE_SECONDS: Final = 300.0  # the tree follows the log; reading it again is a safety net


class TreeKeeper(BackgroundService):
    """Reads the category tree at startup, until that succeeds, and periodically."""

    def __init__(self, tree: CategoryTree, reads: CachedReads) -> None:
        """Fill ``tree`` from ``reads``."""
        super().__init__("category-tree", TREE_SECONDS)
        self._tree = tree
        self._reads = reads

    async def run_once(self) -> None:
        """Read the tree; one that changed meanwhile is read again."""
        while True:
            moves = self._tree.moves
            read = await self._reads.categories("")
            if self._tree.moves == moves:
                self._tree.load(read.categories)
                return


class Following:
    """The cache and the live hub of one edge, with the followers that update them."""

    def __init__(
        self,
        services: Services,
        sources: Mapping[str, ChangeSource],
        shared_sources: Mapping[str, ChangeSource],
        *,
        redis_url: str | None,
        database_url: str,
        on_quarantine: OnQuarantine = lambda _key, _detail: None,
    ) -> None:
        """``sources`` and ``shared_sources`` have each log; the latter are read by followers that wait for Redis."""
        self.tree = CategoryTree()
        self.memory = MemoryCache()
        self.shared = SharedCache(redis_url, on_quarantine=on_quarantine)
        loaders = source_loaders(services)
        self._retries = RetryQueue(self.shared, self.memory)
        self._fresh = {log: Freshness(partial(self._is_connected, log)) for log in keys.LOGS}
        self.cache = CacheManager(self.memory, self.shared, self._retries, loaders, self._fresh)
        self.reads = CachedReads(self.cache, services)
        self.publisher = EventPublisher(PartStates(self.reads), self.tree, pages=LogPages(sources))
        readers: dict[str, Callable[[Any], LogChange]] = {
            keys.INVENTORY: read_stock_change,
            keys.CONTENT: PartChangeReader(self.tree),
        }
        self.followers = {
            log: Follower(
                sources[log],
                FanOut(MemorySink(log, self.memory, readers[log], self._fresh[log]), LiveSink(self.publisher, log)),
            )
            for log in keys.LOGS
        }
        self.consistency = CacheConsistencyManager(self.memory, self.shared, loaders, self.followers)
        self._shared_sources = shared_sources
        self._elected = LeaderElection(database_url, SHARED_LOCK, "shared-cache")
        self._shown = contextlib.ExitStack()
        self._background = [self._retries, self.consistency, TreeKeeper(self.tree, self.reads)]

    def start(self) -> None:
        """Start the followers and the background services."""
        for log, follower in self.followers.items():
            metrics.FOLLOWER_AGE.labels(log).set_function(self._fresh[log].age_seconds)
            self._shown.enter_context(FOLLOWERS.showing(log, "memory", status_of(follower)))
            follower.start()
        for service in self._background:
            service.start()
        if self.shared.is_configured:
            self._elected.start(self._feed_shared)

    async def drain(self) -> None:
        """Close every client."""
        await self.publisher.close()

    async def stop(self) -> None:
        """Stop following and close the connections to Redis."""
        await self._elected.stop()
        for service in self._background:
            await service.stop()
        for follower in self.followers.values():
            await follower.stop()
        self._shown.close()
        await self.cache.close()
        await self.shared.close()

    def _is_connected(self, log: str) -> bool:
        return self.followers[log].connected

    async def _feed_shared(self) -> None:
        """Apply both logs to Redis while this process is the leader."""
        tree = CategoryTree()
        await TreeKeeper(tree, self.reads).run_once()
        readers: dict[str, Callable[[Any], LogChange]] = {
            keys.INVENTORY: read_stock_change,
            keys.CONTENT: PartChangeReader(tree),
        }
        with contextlib.ExitStack() as shown:
            async with asyncio.TaskGroup() as group:
                for log in keys.LOGS:
                    follower = Follower(self._shared_sources[log], SharedSink(log, self.shared, readers[log]))
                    shown.enter_context(FOLLOWERS.showing(log, "shared", status_of(follower)))
                    group.create_task(follower.run())


class LiveSink:
    """Publishes the changes of one follower to the live hub."""

    def __init__(self, publisher: EventPublisher, log: str) -> None:
        """Feed the publisher with a log."""
        self._publisher = publisher
        self._log = log

    async def position(self) -> str:
        """Return no position: a new process owes nothing to any client."""
        return ""

    async def reset(self, cursor: str, pages: AsyncIterator[Sequence[Any]]) -> None:  # noqa: ARG002
        """Start again at the cursor; clients reconnect and take snapshots."""
        self._publisher.begin(cursors.decode(cursor)[self._log])

    async def apply(self, batch: ChangeBatch) -> None:
        """Publish a batch."""
        self._publisher.publish(self._log, batch)
