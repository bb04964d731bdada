"""Stock and category of the parts that clients subscribe to, updated from the logs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Protocol

from changelog.visibility import is_published
from edge.cache.single_flight import BatchedSingleFlight
from edge.cache.values import Absent, StockCodec, total
from edge.live.events import PartState
from partstream.inventory.v1 import stock_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from edge.cache.manager import CacheResult
    from edge.cache.values import Listing
    from edge.live.events import StockEvent
    from partstream.content.v1 import part_change_pb2
    from partstream.inventory.v1 import stock_change_pb2

CATEGORIES_AT_ONCE: Final = 4  # snapshots of categories that one process reads
MAX_UNWATCHED: Final = 20_000  # parts known through categories only; about 1 KB each

_join = StockCodec().join


class BatchReads(Protocol):
    """The reads that fill unknown states."""

    async def stocks(self, part_ids: Sequence[str], min_token: str = "") -> Mapping[str, CacheResult]:
        """Return the stock of each part."""

    async def parts(self, part_ids: Sequence[str], min_token: str = "") -> Mapping[str, CacheResult]:
        """Return the content of each part."""

    async def category_page(self, category_id: str, page_token: str, min_token: str = "") -> Listing:
        """Return ids of published parts in a category and its subtree; raise ``NotFound``."""


class PartStates:
    """States by part. Those of watched parts stay; of the others the oldest are evicted beyond a bound."""

    def __init__(self, reads: BatchReads) -> None:
        """Read missing states through ``reads``."""
        self._reads = reads
        self._states: dict[str, PartState] = {}
        self._watched = 0
        self._serial = 0
        self.reading_categories = asyncio.Semaphore(CATEGORIES_AT_ONCE)
        self._loads: BatchedSingleFlight[None] = BatchedSingleFlight(self._load)

    def __len__(self) -> int:
        return len(self._states)

    def get(self, part_id: str) -> PartState | None:
        """Return the state, if the part has one."""
        return self._states.get(part_id)

    def obtain(self, part_id: str) -> PartState:
        """Return the state, created unknown when the part has none."""
        state = self._states.get(part_id)
        if state is None:
            self._serial += 1
            state = self._states[part_id] = PartState(part_id, serial=self._serial)
            if len(self._states) - self._watched > MAX_UNWATCHED:
                self._forget_some()
        return state

    def watch(self, part_id: str) -> None:
        """Hold the state for one more subscription."""
        state = self.obtain(part_id)
        self._watched += not state.watchers
        state.watchers += 1

    def unwatch(self, part_id: str) -> None:
        """Release the state for one subscription."""
        state = self._states.get(part_id)
        if state is not None and state.watchers:
            state.watchers -= 1
            self._watched -= not state.watchers

    def keep(self, state: PartState) -> PartState:
        """Return the state in use for the part: this one, even if it was evicted, or the one that replaced it."""
        return self._states.setdefault(state.part_id, state)

    def forget(self, part_id: str) -> None:
        """Remove the state of a part without subscribers."""
        self._states.pop(part_id, None)

    def clear(self) -> None:
        """Remove all."""
        self._states.clear()
        self._watched = 0

    def follow_stock(self, event: StockEvent) -> None:
        """Apply the event's change to the state, and set the event's stock after it."""
        state, change = event.state, event.change
        if state.stock is None or not change.HasField("after"):
            state.stock = None  # a deleted level is found by reading
            state.waiting.append(event)
            return
        state.stock = event.stock = _join(
            state.stock, stock_pb2.PartStock(part_id=change.part_id, levels=[change.after])
        )

    def follow_content(self, change: part_change_pb2.PartChange) -> None:
        """Apply the category and the visibility of a part."""
        state = self._states.get(change.part_id)
        if state is None or change.version < state.content_version:
            return  # a read was ahead of the log
        state.content_version = change.version
        state.is_public = change.HasField("after") and is_published(change.after)
        if change.HasField("after"):
            state.category_id = change.after.category_id

    async def ensure(self, states: Iterable[PartState]) -> None:
        """Return once these are known; raise what the read raises."""
        loads = [self._loads.start(state.part_id) for state in states if not state.is_known]
        for load in loads:
            await asyncio.shield(load)

    async def of_category(self, category_id: str, page_token: str, min_token: str) -> Listing:
        """Return a page of the published parts in a category and its subtree; raise ``NotFound``."""
        return await self._reads.category_page(category_id, page_token, min_token)

    async def refresh(self, part_ids: Sequence[str], min_token: str) -> None:
        """Read these states again, at ``min_token`` at least."""
        await self._load(list(part_ids), min_token)

    async def _load(self, part_ids: list[str], min_token: str = "") -> dict[str, None]:
        last_serial = self._serial
        stocks, parts = await asyncio.gather(
            self._reads.stocks(part_ids, min_token), self._reads.parts(part_ids, min_token)
        )
        again: list[str] = []
        for part_id in part_ids:
            state = self._states.get(part_id)
            if state is None:
                continue
            if state.serial > last_serial:
                again.append(part_id)  # created during the read: it may have missed a change that the read missed too
            else:
                _apply_read(state, stocks[part_id].value, parts[part_id].value)
        if again:
            await self._load(again, min_token)
        return dict.fromkeys(part_ids)

    def _forget_some(self) -> None:
        """Evict a tenth of the bound, so that this is seldom done."""
        surplus = MAX_UNWATCHED // 10 + 1
        idle = [state.part_id for state in self._states.values() if not state.watchers and not state.waiting]
        for part_id in idle[:surplus]:
            del self._states[part_id]


def _apply_read(state: PartState, stock: stock_pb2.PartStock, content: Any) -> None:
    if isinstance(content, Absent):
        if state.category_id is None:
            state.category_id = ""
        if content.version >= state.content_version:  # otherwise the log was ahead of this read
            state.is_public = False
    elif content.version >= state.content_version:
        state.content_version = content.version
        state.category_id = content.category_id
        state.is_public = is_published(content)
    waiting, state.waiting = state.waiting, []
    base = stock if state.stock is None else _join(stock, state.stock)
    state.stock = base
    if waiting:
        events = sorted(waiting, key=lambda event: event.change.revision)
        for event, after in zip(events, replay(base, [event.change for event in events]), strict=True):
            event.stock = after
        state.stock = _join(base, events[-1].stock or base)


def replay(now: stock_pb2.PartStock, changes: Sequence[stock_change_pb2.StockChange]) -> list[stock_pb2.PartStock]:
    """Return the stock after each of some ordered changes, given a stock that may include them already."""
    replayed = StockReplay(now)
    for change in changes:
        replayed.take_back(change)
    return [replayed.after(change) for change in changes]


class StockReplay:
    """The stock of a part after each of some changes, computed from the current one.

    Undo every change, in order: the levels are then as the first change found them. Then get the stock after each, in
    the same order.
    """

    __slots__ = ("_begun", "_levels", "_part_id")

    def __init__(self, now: stock_pb2.PartStock) -> None:
        """``now`` may include the changes already."""
        self._part_id = now.part_id
        self._levels = {level.location_id: level for level in now.levels}
        self._begun: set[str] = set()

    def take_back(self, change: stock_change_pb2.StockChange) -> None:
        """Restore the level to its state before its first change."""
        location_id = change.location_id
        if location_id in self._begun:
            return
        self._begun.add(location_id)
        if change.HasField("before"):
            self._levels[location_id] = change.before
        else:
            self._levels.pop(location_id, None)

    def after(self, change: stock_change_pb2.StockChange) -> stock_pb2.PartStock:
        """Apply the change and return the stock after it."""
        if change.HasField("after"):
            self._levels[change.location_id] = change.after
        else:
            self._levels.pop(change.location_id, None)
        return total(self._part_id, self._levels.values())
