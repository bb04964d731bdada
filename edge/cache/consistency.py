"""The consistency check: compare sampled entries of memory and Redis with the service, at one revision."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from changelog import cursor as cursors
from chassis.background import BackgroundService
from chassis.errors import Unavailable
from edge import metrics
from edge.cache import keys
from edge.cache.values import CODECS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from changelog.follower import Follower
    from edge.cache.keys import Kind
    from edge.cache.manager import Loaded
    from edge.cache.memory import MemoryCache
    from edge.cache.shared import SharedCache

INTERVAL_SECONDS: Final = 10.0
SAMPLE: Final = 20  # entries per round; 2 a second cost the services nothing and find a fault of 1 % within a minute
WAIT_SECONDS: Final = 1.0
REMEMBERED: Final = 50


@dataclass(frozen=True, slots=True)
class Difference:
    """An entry that differs from the source, at a revision where both must be equal."""

    tier: str
    kind: str
    ident: str
    revision: int
    cached_version: int
    source_version: int


class CacheConsistencyManager(BackgroundService):
    """Checks a sample every few seconds and holds the latest differences."""

    def __init__(
        self,
        memory: MemoryCache,
        shared: SharedCache,
        loaders: Mapping[str, Callable[[list[str], str], Awaitable[Loaded]]],
        followers: Mapping[str, Follower],
    ) -> None:
        """``loaders`` by kind, ``followers`` by log."""
        super().__init__("cache-consistency", INTERVAL_SECONDS)
        self._memory = memory
        self._shared = shared
        self._loaders = loaders
        self._followers = followers
        self.checked = 0
        self.differences: deque[Difference] = deque(maxlen=REMEMBERED)
        self.inconsistent = 0

    @property
    def inconsistency_rate(self) -> float:
        """Return the share of checked entries that differed since startup, 0 to 1."""
        return self.inconsistent / self.checked if self.checked else 0.0

    async def run_once(self) -> None:
        """Check a sample of each kind that follows a log."""
        for kind in (keys.STOCK, keys.PART):
            held = self._memory.idents(kind)
            if held:
                try:
                    await self.check(kind, random.sample(held, min(SAMPLE, len(held))))
                except Unavailable:
                    continue  # without the source, or far behind it, there is nothing to compare
        metrics.CACHE_INCONSISTENCY_RATE.set(self.inconsistency_rate)
        for name, (entries, size) in self._memory.occupancy().items():
            metrics.CACHE_MEMORY_ENTRIES.labels(name).set(entries)
            metrics.CACHE_MEMORY_BYTES.labels(name).set(size)

    async def check(self, kind: Kind, idents: list[str]) -> list[Difference]:
        """Compare these entries; return the differences."""
        loaded = await self._loaders[kind.name](idents, "")
        position = cursors.position_in(loaded.token, kind.log)
        if position is None:
            return []
        await self._followers[kind.log].reached(position, WAIT_SECONDS)
        here = self._memory.position(kind.log)
        if here is None or here.epoch != position.epoch:
            return []
        shared = await self._shared.read(kind, position.epoch, dict.fromkeys(idents, position.revision))
        found: list[Difference] = []
        for ident, truth in loaded.values.items():
            entry = self._memory.get(kind, ident)
            if entry is not None:
                found += self._compare("memory", kind, ident, entry.value, truth, position.revision)
            if ident in shared:
                found += self._compare("shared", kind, ident, shared[ident].value, truth, position.revision)
        self.differences.extend(found)
        return found

    def _compare(self, tier: str, kind: Kind, ident: str, cached: Any, truth: Any, revision: int) -> list[Difference]:
        """A cached version above the source's is no difference: the entry changed after the source was read."""
        self.checked += 1
        metrics.CACHE_CHECKED.labels(tier).inc()
        unknown = CODECS[kind.name].is_unknown(truth)
        is_older = cached.version < truth.version
        is_other = cached.version == truth.version and cached != truth
        if unknown or not (is_older or is_other):
            return []
        self.inconsistent += 1
        metrics.CACHE_INCONSISTENT.labels(tier).inc()
        return [Difference(tier, kind.name, ident, revision, cached.version, truth.version)]
