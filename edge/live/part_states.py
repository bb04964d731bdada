"""The stock and the category of parts that somebody listens to, kept true from the log."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Protocol

from chassis.visibility import is_published
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
MAX_UNWATCHED: Final = 20_000  # parts heard of through categories only; about 1 KB each

_join = StockCodec().join


class BatchReads(Protocol):
    """The reads that states begin with."""

    async def stocks(self, part_ids: Sequence[str], min_token: str = "") -> Mapping[str, CacheResult]:
        """Stock of each part."""

    async def parts(self, part_ids: Sequence[str], min_token: str = "") -> Mapping[str, CacheResult]:
        """Content of each part."""

    async def category_page(self, category_id: str, page_token: str, min_token: str = "") -> Listing:
        """Ids of published parts in a category and those below; ``CategoryNotFound``."""


class PartStates:
    """States by part. Those of watched parts stay; the others leave, oldest first, when there are too many."""

    def __init__(self, reads: BatchReads, max_unwatched: int = MAX_UNWATCHED) -> None:
        """Read missing states through ``reads``."""
        self._reads = reads
        self._max_unwatched = max_unwatched
        self._states: dict[str, PartState] = {}
        self._watched = 0
        self._serial = 0
        self.reading_categories = asyncio.Semaphore(CATEGORIES_AT_ONCE)
        self._loads: BatchedSingleFlight[None] = BatchedSingleFlight(self._load)

    def __len__(self) -> int:
        return len(self._states)

    def get(self, part_id: str) -> PartState | None:
        """The state, if anybody asked for it before."""
        return self._states.get(part_id)

    def obtain(self, part_id: str) -> PartState:
        """The state, perhaps not known yet."""
        state = self._states.get(part_id)
        if state is None:
            self._serial += 1
            state = self._states[part_id] = PartState(part_id, serial=self._serial)
            if len(self._states) - self._watched > self._max_unwatched:
                self._forget_some()
        return state

    def watch(self, part_id: str) -> None:
        """Keep the state for one more subscription."""
        state = self.obtain(part_id)
        self._watched += not state.watchers
        state.watchers += 1

    def unwatch(self, part_id: str) -> None:
        """One subscription less."""
        state = self._states.get(part_id)
        if state is not None and state.watchers:
            state.watchers -= 1
            self._watched -= not state.watchers

    def keep(self, state: PartState) -> PartState:
        """The state that counts for the part: this one, even if it had to leave meanwhile, or the one in its place."""
        return self._states.setdefault(state.part_id, state)

    def forget(self, part_id: str) -> None:
        """Nobody asks for it."""
        self._states.pop(part_id, None)

    def clear(self) -> None:
        """Forget all."""
        self._states.clear()
        self._watched = 0

    def follow_stock(self, event: StockEvent) -> None:
        """Bring the state of the event's part forward and tell the event the stock after it."""
        state, change = event.state, event.change
        if state.stock is None or not change.HasField("after"):
            state.stock = None  # a level that is gone for good is found out by reading
            state.waiting.append(event)
            return
        state.stock = event.stock = _join(
            state.stock, stock_pb2.PartStock(part_id=change.part_id, levels=[change.after])
        )

    def follow_content(self, change: part_change_pb2.PartChange) -> None:
        """Note the category a part is in now, and whether it is public."""
        state = self._states.get(change.part_id)
        if state is None or change.version < state.content_version:
            return  # a read was ahead
        state.content_version = change.version
        state.is_public = change.HasField("after") and is_published(change.after)
        if change.HasField("after"):
            state.category_id = change.after.category_id

    async def ensure(self, states: Iterable[PartState]) -> None:
        """Return once these are known; raises what the read raises."""
        loads = [self._loads.start(state.part_id) for state in states if not state.is_known]
        for load in loads:
            await asyncio.shield(load)

    async def of_category(self, category_id: str, page_token: str, min_token: str) -> Listing:
        """A page of the published parts in a category and those below; ``CategoryNotFound``."""
        return await self._reads.category_page(category_id, page_token, min_token)

    async def refresh(self, part_ids: Sequence[str], min_token: str) -> None:
        """Read these again, at a revision at least."""
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
                again.append(part_id)  # it came to be during the read, and may have missed a change the read missed
            else:
                _apply_read(state, stocks[part_id].value, parts[part_id].value)
        if again:
            await self._load(again, min_token)
        return dict.fromkeys(part_ids)

    def _forget_some(self) -> None:
        """Make room for a tenth, so that this is seldom done."""
        surplus = self._max_unwatched // 10 + 1
        idle = [state.part_id for state in self._states.values() if not state.watchers and not state.waiting]
        for part_id in idle[:surplus]:
            del self._states[part_id]


def _apply_read(state: PartState, stock: stock_pb2.PartStock, content: Any) -> None:
    if isinstance(content, Absent):
        if state.category_id is None:
            state.category_id = ""
        if content.version >= state.content_version:  # else the log told more, after this was read
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
    """The stock after each of some changes in order, given a stock that may show them already, in whole or in part."""
    replayed = StockReplay(now)
    for change in changes:
        replayed.take_back(change)
    return [replayed.after(change) for change in changes]


class StockReplay:
    """The stock of a part after each of some changes, found from the present one.

    Take every change back, in order: levels they speak of are then as the first change found them. Then ask for the
    stock after each, in the same order.
    """

    __slots__ = ("_begun", "_levels", "_part_id")

    def __init__(self, now: stock_pb2.PartStock) -> None:
        """``now`` may show the changes already, in whole or in part."""
        self._part_id = now.part_id
        self._levels = {level.location_id: level for level in now.levels}
        self._begun: set[str] = set()

    def take_back(self, change: stock_change_pb2.StockChange) -> None:
        """The first change of a level says how it was before all of them."""
        location_id = change.location_id
        if location_id in self._begun:
            return
        self._begun.add(location_id)
        if change.HasField("before"):
            self._levels[location_id] = change.before
        else:
            self._levels.pop(location_id, None)

    def after(self, change: stock_change_pb2.StockChange) -> stock_pb2.PartStock:
        """The stock once this change, too, has happened."""
        if change.HasField("after"):
            self._levels[change.location_id] = change.after
        else:
            self._levels.pop(change.location_id, None)
        return total(self._part_id, self._levels.values())
