"""Share rate counts among edges: once a second each edge adds its own to Redis and uses the sum.

No request waits for it. Without Redis each edge counts alone, and a caller has its quota at each of them.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from limits.aio.storage import RedisStorage
from redis.asyncio import BlockingConnectionPool
from redis.exceptions import RedisError

from chassis.background import BackgroundService

if TYPE_CHECKING:
    from chassis.rates import Count, Quota, Quotas

log = logging.getLogger("edge.http.limits")

INTERVAL_SECONDS: Final = 1.0
MOST_AT_ONCE: Final = 200  # callers a round, the busiest first; each costs about 0.1 ms
CALL_SECONDS: Final = 0.5
CONNECTIONS: Final = 4
PREFIX: Final = "partstream:limits"

_FAILURES: Final = (RedisError, OSError, TimeoutError)


class SharedCounts(BackgroundService):
    """Reconciles the counts of this process with those of the others."""

    def __init__(self, url: str, quotas: Quotas) -> None:
        """Connect lazily."""
        super().__init__("rate-limits", INTERVAL_SECONDS)
        self._quotas = quotas
        self._pool = BlockingConnectionPool.from_url(
            url,
            socket_timeout=CALL_SECONDS,
            socket_connect_timeout=CALL_SECONDS,
            max_connections=CONNECTIONS,
            timeout=CALL_SECONDS,
        )
        options: Any = {"connection_pool": self._pool}
        self._storage = RedisStorage("redis://", implementation="redispy", key_prefix=PREFIX, **options)
        self._is_alone = False

    async def run_once(self) -> None:
        """Share the counts of the busiest callers."""
        busy = [(quota, key, count) for quota in self._quotas for key, count in quota.busy()]
        busy.sort(key=lambda item: item[2].used / item[0].rate.amount, reverse=True)
        if not busy:
            return
        results = await asyncio.gather(*(self._share(*item) for item in busy[:MOST_AT_ONCE]), return_exceptions=True)
        failures = [result for result in results if isinstance(result, BaseException)]
        for failure in failures:
            if not isinstance(failure, _FAILURES):
                raise failure
        self._note(failures[0] if len(failures) == len(results) else None)

    async def close(self) -> None:
        """Stop, and close the connections."""
        await self.stop()
        await self._pool.aclose()

    async def _share(self, quota: Quota, key: str, count: Count) -> None:
        """Add the new requests of a caller to Redis. A count whose window has ended meanwhile is not used again."""
        sent, count.unshared = count.unshared, 0
        name = f"{quota.name}:{quota.role}:{key}:{quota.window}"
        try:
            total = await self._storage.incr(name, 2 * quota.rate.seconds, sent)
        except BaseException:
            count.unshared += sent
            raise
        count.used = max(count.used, total + count.unshared)

    def _note(self, failure: BaseException | None) -> None:
        if (failure is not None) == self._is_alone:
            return
        self._is_alone = failure is not None
        if failure is None:
            log.info("rate limits are shared with the other edges again")
        else:
            log.warning("rate limits are counted by this edge alone: Redis unavailable: %r", failure)
