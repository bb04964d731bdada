"""What waits to be sent to one socket, in an order in which every cursor is true when it is sent.

An event that supersedes a waiting one goes to the end: whoever got a frame with a cursor has got, or will be able to
ask for, everything before it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from edge.live.backlog import Backlog
from edge.live.errors import CloseSocket, TooSlow
from edge.live.events import ContentEvent, Event
from edge.live.turns import Turns

if TYPE_CHECKING:
    from edge.live.limits import LiveLimits

EVENT_BYTES = 350  # of a stock frame with its cursor, about


class Slot:
    """A place in the order whose frame is still being made."""

    def __init__(self) -> None:
        """Not filled."""
        self._frame: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def fill(self, frame: str) -> None:
        """This is what goes here."""
        if not self._frame.done():
            self._frame.set_result(frame)

    async def frame(self) -> str:
        """The frame, once there is one."""
        return await self._frame


Item = Event | Slot | str


class Outbox:
    """Waiting frames and events of one socket. ``closing`` is set when there is nothing more to send but a close."""

    def __init__(self, limits: LiveLimits, turns: Turns | None = None) -> None:
        """Begin empty; ``turns`` are shared by the sockets of a process."""
        self.limits = limits
        self._turns = Turns() if turns is None else turns
        self._items: OrderedDict[Any, tuple[Item | Backlog, int]] = OrderedDict()
        self._serial = 0
        self._bytes = 0
        self._own = 0  # frames that are no events
        self.conflated = 0  # events that were superseded, since somebody looked
        self._sleeper: asyncio.Future[None] | None = None
        self._closed = asyncio.Event()
        self.closing: CloseSocket | None = None

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Slot | str) -> None:
        """A frame of its own, at the end of the order; a client that never reads those is too slow."""
        self._own += 1
        if self._own > self.limits.own_frames:
            self.close(TooSlow())
        self._append(item, 0)

    def put_every(self, event: Event) -> None:
        """An event that must be sent, or the socket is too slow."""
        self._bytes += EVENT_BYTES
        if self._bytes > self.limits.queue_bytes:
            self.close(TooSlow())
            return
        self._append(event, EVENT_BYTES)

    def put_backlog(self, backlog: Backlog) -> None:
        """Events that are made when it is their turn; what comes meanwhile waits behind them."""
        self._bytes += backlog.size
        self._append(backlog, backlog.size)

    def put_latest(self, event: Event) -> None:
        """An event that supersedes an earlier one of the same part."""
        if self.closing is not None:
            return
        key = event.key
        earlier = self._items.pop(key, None)
        if earlier is not None:
            self.conflated += 1
            if isinstance(event, ContentEvent) and isinstance(earlier[0], ContentEvent):
                event = event.since(earlier[0])
        elif len(self._items) >= self.limits.pending_parts:
            self.close(TooSlow())
            return
        self._items[key] = (event, 0)
        self._wake()

    def close(self, why: CloseSocket) -> None:
        """Close the socket; the first reason counts. Nothing that waits is sent any more."""
        if self.closing is None:
            self.closing = why
            self._items.clear()
            self._closed.set()

    def take(self) -> Item | None:
        """The next item, or ``None`` when nothing waits."""
        while self._items:
            item, size = next(iter(self._items.values()))
            if isinstance(item, Backlog):
                try:
                    event = item.take()
                except TooSlow as why:
                    self.close(why)
                    return None
                if event is not None:
                    return event
            self._items.popitem(last=False)
            self._bytes -= size
            if not isinstance(item, Backlog):
                self._own -= isinstance(item, Slot | str)
                return item
        return None

    async def closed(self) -> CloseSocket:
        """Why the socket is to be closed, once it is."""
        await self._closed.wait()
        return self.closing or TooSlow()

    async def wait(self) -> None:
        """Return once there is something to take, and it is this socket's turn."""
        if not self._items:
            self._sleeper = asyncio.get_running_loop().create_future()
            try:
                await self._sleeper
            finally:
                self._sleeper = None

    def _append(self, item: Item | Backlog, size: int) -> None:
        if self.closing is not None:
            return
        self._serial += 1
        self._items[self._serial] = (item, size)
        self._wake()

    def _wake(self) -> None:
        if self._sleeper is not None:
            self._turns.wake(self._sleeper)
