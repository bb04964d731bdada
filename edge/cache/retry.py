"""Invalidations that wait while Redis is unavailable: a bounded queue with the last one per entry."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from chassis.background import BackgroundService
from edge import metrics
from edge.cache import keys
from edge.cache.breaker import SharedTierUnavailable

if TYPE_CHECKING:
    from edge.cache.keys import Kind
    from edge.cache.memory import MemoryCache
    from edge.cache.shared import SharedCache

log = logging.getLogger(__name__)

MAX_WAITING = 10_000  # entries; beyond this dropping the whole namespace is cheaper than the queue
INTERVAL_SECONDS = 0.5
SENT_AT_ONCE = 500


class RetryQueue(BackgroundService):
    """Waiting invalidations of one process."""

    def __init__(self, shared: SharedCache, memory: MemoryCache, max_waiting: int = MAX_WAITING) -> None:
        """Send to ``shared``; ``memory`` has the current epoch of each log."""
        super().__init__("cache-retries", INTERVAL_SECONDS)
        self._shared = shared
        self._memory = memory
        self._max_waiting = max_waiting
        self._waiting: dict[tuple[str, str], Kind] = {}
        self._whole_logs: set[str] = set()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._whole_logs)

    def put(self, kind: Kind, ident: str) -> None:
        """Drop this entry when Redis is available; too many of them become one drop of the whole log."""
        if kind.log in self._whole_logs:
            return
        self._waiting[kind.name, ident] = kind
        if len(self._waiting) > self._max_waiting:
            for log_name in {waiting.log for waiting in self._waiting.values()}:
                self.put_all(log_name)

    def put_all(self, log_name: str) -> None:
        """Drop every entry of a log when Redis is available."""
        self._whole_logs.add(log_name)
        self._waiting = {key: kind for key, kind in self._waiting.items() if kind.log != log_name}

    async def run_once(self) -> None:
        """Send waiting invalidations, if Redis responds."""
        try:
            await self._send_whole_logs()
            await self._send_entries()
        except SharedTierUnavailable:
            return
        finally:
            metrics.CACHE_RETRIES_WAITING.set(len(self))
            metrics.CACHE_SHARED_UNAVAILABLE.set(self._shared.is_configured and self._shared.breaker.is_open)

    async def _send_whole_logs(self) -> None:
        for log_name in list(self._whole_logs):
            position = self._memory.position(log_name)
            if position is not None:
                await self._shared.drop_all(log_name, position.epoch)
                self._whole_logs.discard(log_name)
                log.info("shared cache dropped after queue overflow log=%s", log_name)

    async def _send_entries(self) -> None:
        for kind in keys.KINDS:
            idents = [ident for (name, ident) in self._waiting if name == kind.name][:SENT_AT_ONCE]
            position = self._memory.position(kind.log)
            if not idents or position is None:
                continue
            await self._shared.drop(kind, position.epoch, idents)
            for ident in idents:
                self._waiting.pop((kind.name, ident), None)
            if len(idents) == SENT_AT_ONCE:
                self.nudge()
