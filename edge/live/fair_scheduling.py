"""Fair scheduling: wake sockets in batches, and build snapshots address by address."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, OrderedDict, deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SOCKETS_A_ROUND: Final = 64  # some milliseconds of sending


class FairScheduler:
    """Wakes a batch of sockets per round of the event loop, in the order in which they were due.

    An event loop runs all that is ready before it polls for more: ten thousand sockets woken at once would send ten
    thousand frames before the next request is read. A socket that waits for its batch continues to conflate.
    """

    def __init__(self, sockets_a_round: int = SOCKETS_A_ROUND) -> None:
        """Start with no socket waiting."""
        self._most = self._left = sockets_a_round
        self._waiting: OrderedDict[asyncio.Future[None], None] = OrderedDict()
        self._is_counting = False

    def wake(self, waiter: asyncio.Future[None]) -> None:
        """Set the result of the future now, or in a later batch."""
        if waiter.done():
            return
        if self._left:
            self._left -= 1
            waiter.set_result(None)
        else:
            self._waiting[waiter] = None
        self._count()

    def _count(self) -> None:
        if not self._is_counting:
            self._is_counting = True
            asyncio.get_running_loop().call_soon(self._next_round)

    def _next_round(self) -> None:
        self._is_counting = False
        self._left = self._most
        while self._waiting and self._left:
            waiter, _ = self._waiting.popitem(last=False)
            if not waiter.done():  # its client has disconnected
                waiter.set_result(None)
                self._left -= 1
        if self._left < self._most:
            self._count()


PARTS_A_SLICE: Final = 50  # about 0.3 ms


class SnapshotQueue:
    """Grants permits to build snapshots, fairly by address: one greedy address does not delay the others.

    Of all permit holders, one builds a slice of its frame per round of the event loop. A client that does not read its
    frames holds no permit.
    """

    def __init__(self, at_once: int = 16, per_address: int = 2) -> None:
        """Grant ``at_once`` permits at a time, ``per_address`` of them to one address."""
        self._at_once = at_once
        self._per_address = per_address
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._running: Counter[str] = Counter()
        self.slicing = asyncio.Lock()  # held while a frame is built

    @contextlib.asynccontextmanager
    async def permit(self, address: str) -> AsyncIterator[None]:
        """Enter when this address gets a permit."""
        permit: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(address, deque()).append(permit)
        self._give()
        try:
            await permit
            yield
        finally:
            if not permit.cancelled():  # cancelled before it had a permit
                self._take_back(address)

    def _give(self) -> None:
        while self._running.total() < self._at_once and (address := self._next()) is not None:
            queue = self._waiting[address]
            permit = queue.popleft()
            if queue:
                self._waiting.move_to_end(address)
            else:
                del self._waiting[address]
            if not permit.done():
                self._running[address] += 1
                permit.set_result(None)

    def _next(self) -> str | None:
        """Return the first waiting address that holds fewer permits than it may."""
        return next((address for address in self._waiting if self._running[address] < self._per_address), None)

    def _take_back(self, address: str) -> None:
        self._running[address] -= 1
        if not self._running[address]:
            del self._running[address]
        self._give()
