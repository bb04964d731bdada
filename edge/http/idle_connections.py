"""Close connections without a request when one address, or all together, have too many of them."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from chassis.addresses import site_of
from chassis.background import BackgroundService
from edge.http.open_sockets import OpenSocket, accepted, end, open_files
from edge.metrics import CONNECTIONS_CLOSED

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.http.connections import ConnectionLimiter

log = logging.getLogger(__name__)

INTERVAL_SECONDS: Final = 1.0


class IdleConnections(BackgroundService):
    """Checks every second. Below the limits a check only counts the open files."""

    def __init__(
        self,
        connections: ConnectionLimiter,
        port: int,
        *,
        per_address: int,
        total: int,
        is_proxy: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """Watch the listener on ``port``; the connections of a trusted proxy are those of its many clients."""
        super().__init__("idle-connections", INTERVAL_SECONDS)
        self._connections = connections
        self._port = port
        self._per_address = per_address
        self._total = total
        self._is_proxy = is_proxy

    async def run_once(self) -> None:
        """Close the excess connections, those that have been idle longest first."""
        if open_files() <= min(self._per_address, self._total):
            return
        every = await asyncio.to_thread(accepted, self._port)
        idle = [item for item in every if item.peer not in self._connections.peers]
        unwanted = self._excess(idle, len(every))
        if not unwanted:
            return
        closed = await asyncio.to_thread(self._close, unwanted)
        CONNECTIONS_CLOSED.labels("idle").inc(closed)
        log.warning("idle connections closed count=%d open=%d", closed, len(every))

    def _excess(self, idle: list[OpenSocket], total: int) -> list[OpenSocket]:
        by_address: defaultdict[str, list[OpenSocket]] = defaultdict(list)
        for item in sorted(idle, key=lambda item: item.quiet_ms):
            by_address[site_of(item.peer[0])].append(item)
        unwanted = [
            item
            for items in by_address.values()
            for item in items[self._per_address :]
            if not self._is_proxy(item.peer[0])
        ]
        still = total - len(unwanted) - self._total
        if still > 0:
            chosen = set(unwanted)
            rest = sorted((item for item in idle if item not in chosen), key=lambda item: -item.quiet_ms)
            unwanted += rest[:still]
        return unwanted

    def _close(self, unwanted: list[OpenSocket]) -> int:
        # A connection whose request has begun meanwhile stays.
        return sum(end(self._port, item) for item in unwanted if item.peer not in self._connections.peers)
