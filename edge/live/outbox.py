"""What waits to be sent to one client, in an order in which every cursor is correct when it is sent.

An event that supersedes a waiting one goes to the end: a client that got a frame with a cursor has, or can request,
everything before it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from itertools import islice
from typing import TYPE_CHECKING, Any

from edge.live.catch_up import CatchUp, Preparation
from edge.live.errors import CloseSocket, TooSlow
from edge.live.events import ContentEvent, Event, StockEvent
from edge.live.fair_scheduling import FairScheduler
from edge.live.recovery import Backlog

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.live.limits import LiveLimits

FRAMES_AHEAD = 2  # of one slot, built before the client takes them
FRAME_SECONDS = 60.0  # longer than a socket that reads nothing stays open
EVENT_BYTES = 350  # of a stock frame with its cursor, about


class Slot:
    """A place in the order whose frames are still being built."""

    def __init__(self) -> None:
        """Start empty."""
        self._frames: asyncio.Queue[tuple[str, bool]] = asyncio.Queue(FRAMES_AHEAD)
        self.is_taken = False  # whether its last frame has been taken

    async def put(self, frame: str, *, more: bool) -> None:
        """Add one of several frames; return when few enough wait, raise ``TimeoutError`` when the client reads none."""
        async with asyncio.timeout(FRAME_SECONDS):
            await self._frames.put((frame, not more))

    def end(self, frame: str) -> None:
        """Add the last frame, in place of all that follow; when the slot is full, it replaces one that waits."""
        if self._frames.full():
            self._frames.get_nowait()
        self._frames.put_nowait((frame, True))

    async def frame(self) -> str:
        """Return the next frame, once there is one."""
        frame, self.is_taken = await self._frames.get()
        return frame


Item = Event | Slot | Preparation | str
_Waiting = Event | Slot | str | Backlog | CatchUp


class Outbox:
    """Waiting frames and events of one client. ``closing`` is set when only a close is left to send."""

    def __init__(self, limits: LiveLimits, scheduler: FairScheduler | None = None) -> None:
        """Start empty; the sockets of a process share ``scheduler``."""
        self.limits = limits
        self._scheduler = FairScheduler() if scheduler is None else scheduler
        self._items: OrderedDict[Any, tuple[_Waiting, int]] = OrderedDict()
        self._open_catch_up: CatchUp | None = None  # while open, it reads what is published
        self.start_catch_up: Callable[[Event], CatchUp] | None = None  # ``None``: close when full
        self._serial = 0
        self._bytes = 0
        self._own = 0  # frames that are no events
        self.conflated = 0  # events superseded since the count was last read
        self._waiter: asyncio.Future[None] | None = None
        self._closed = asyncio.Event()
        self.closing: CloseSocket | None = None

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Slot | str) -> None:
        """Append a frame that is no event; a client that never reads those is too slow."""
        self._close_catch_up()
        self._own += 1
        if self._own > self.limits.own_frames:
            self.close(TooSlow())
        self._append(item, 0)

    def put_every(self, event: Event) -> None:
        """Append an event that must be sent. When too many wait, the client catches up from its position instead."""
        if self._open_catch_up is not None:
            return
        if self._bytes + EVENT_BYTES > self.limits.queue_bytes:
            self._overflow(event)
            return
        self._bytes += EVENT_BYTES
        self._append(event, EVENT_BYTES)

    def put_backlog(self, backlog: Backlog | CatchUp) -> None:
        """Append events that are made when they are due; later events wait behind them."""
        size = backlog.size if isinstance(backlog, Backlog) else 0
        self._close_catch_up()
        self._bytes += size
        self._append(backlog, size)

    def put_latest(self, event: Event) -> None:
        """Queue an event that supersedes an earlier one of the same part."""
        if self.closing is not None or self._open_catch_up is not None:
            return
        key = event.key
        earlier = self._items.pop(key, None)
        if earlier is not None:
            self.conflated += 1
            if isinstance(event, ContentEvent) and isinstance(earlier[0], ContentEvent):
                event = event.since(earlier[0])
        elif len(self._items) >= self.limits.pending_parts:
            self._overflow(event)
            return
        self._items[key] = (event, 0)
        self._wake()

    def unknown(self, most: int) -> list[StockEvent]:
        """Return those of the next events whose state is still to be read."""
        upcoming = islice(self._items.values(), most)
        return [item for item, _ in upcoming if isinstance(item, StockEvent) and not item.is_known]

    def close(self, why: CloseSocket) -> None:
        """Close the socket; the first reason counts. Nothing that waits is sent any more."""
        if self.closing is None:
            self.closing = why
            self._open_catch_up = None
            self._items.clear()
            self._closed.set()

    def drop(self) -> None:
        """Drop everything: what waits refers to the client state that owns this outbox."""
        self._open_catch_up = self.start_catch_up = None
        self._items.clear()

    def take(self) -> Item | None:
        """Return the next item, or ``None`` when nothing waits."""
        while self._items:
            key, (item, size) = next(iter(self._items.items()))
            if isinstance(item, Backlog | CatchUp):
                try:
                    event = item.take()
                except TooSlow as why:
                    later = item.catch_up() if isinstance(item, Backlog) else None
                    if later is None:
                        self.close(why)
                        return None
                    self._items[key] = (later, size)
                    continue
                if event is not None:
                    return event
            elif isinstance(item, Slot) and not item.is_taken:
                return item
            self._items.popitem(last=False)
            self._bytes -= size
            self._own -= isinstance(item, Slot | str)
            if item is self._open_catch_up:
                self._open_catch_up = None
            if not isinstance(item, Backlog | CatchUp | Slot):
                return item
        return None

    async def closed(self) -> CloseSocket:
        """Return why the socket is to be closed, once it is."""
        await self._closed.wait()
        return self.closing or TooSlow()

    async def wait(self) -> None:
        """Return once there is something to take and the scheduler has woken this socket."""
        if not self._items:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def _overflow(self, event: Event) -> None:
        if self.start_catch_up is None:
            self.close(TooSlow())
        elif self.closing is None:
            self._open_catch_up = self.start_catch_up(event)
            self._append(self._open_catch_up, 0)

    def _close_catch_up(self) -> None:
        """End an open catch-up, so that what is published later cannot overtake what is appended next."""
        if self._open_catch_up is not None:
            self._open_catch_up.close()
            self._open_catch_up = None

    def _append(self, item: _Waiting, size: int) -> None:
        if self.closing is not None:
            return
        self._serial += 1
        self._items[self._serial] = (item, size)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None:
            self._scheduler.wake(self._waiter)
