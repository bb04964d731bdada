"""Snapshots on their way, so that an address that asks for many does not make every other client wait.

Addresses take turns, a few snapshots of each are made at a time, and of all of them one makes a slice of its frame in a
round of the event loop.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PARTS_A_SLICE: Final = 50  # about 0.3 ms
_Fill: TypeAlias = "Callable[[], Awaitable[None]]"


class SnapshotQueue:
    """Runs what fills a snapshot, fairly by address."""

    def __init__(self, at_once: int = 16, per_address: int = 2) -> None:
        """Run so many at once, and so many of one address."""
        self._at_once = at_once
        self._per_address = per_address
        self._waiting: OrderedDict[str, deque[_Fill]] = OrderedDict()
        self._running: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self.slicing = asyncio.Lock()  # held by the one that makes its frame

    def add(self, address: str, fill: _Fill) -> None:
        """Run ``fill`` when it is its turn; it raises nothing."""
        self._waiting.setdefault(address, deque()).append(fill)
        self._start()

    def close(self) -> None:
        """Cancel what runs, and forget what waits."""
        self._waiting.clear()
        for task in self._tasks:
            task.cancel()

    def _start(self) -> None:
        while len(self._tasks) < self._at_once and (address := self._next()) is not None:
            queue = self._waiting[address]
            fill = queue.popleft()
            if queue:
                self._waiting.move_to_end(address)
            else:
                del self._waiting[address]
            self._running[address] += 1
            self._tasks.add(asyncio.ensure_future(self._run(address, fill)))

    def _next(self) -> str | None:
        """The address whose turn it is, among those with fewer snapshots under way than they may have."""
        return next((address for address in self._waiting if self._running[address] < self._per_address), None)

    async def _run(self, address: str, fill: _Fill) -> None:
        try:
            await fill()
        finally:
            self._running[address] -= 1
            if not self._running[address]:
                del self._running[address]
            self._tasks.discard(asyncio.current_task())
            self._start()
