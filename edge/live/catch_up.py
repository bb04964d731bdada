"""Catch-up of a lagging client: read on from its position, first in pages of the logs, then in the ring.

A catch-up holds a position and one page at most, however much the client missed. Events in the ring are those that
other clients got, with the exact state after each. Pages hold changes only: the stock after a change is computed by
undoing the rest of the page from the current stock. That is exact for a part with one level; of a part with several, a
level that changes again after the page is shown as newer than it was, never as older, and versions never decrease.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from changelog.cursor import Position
from chassis.errors import CursorCompacted, CursorFromFuture, CursorMalformed, EpochChanged
from edge.cache import keys
from edge.cache.values import StockCodec
from edge.live.errors import ResyncNeeded, TooSlow
from edge.live.events import ContentEvent, Event, StockEvent
from edge.live.part_states import replay
from partstream.inventory.v1 import stock_change_pb2

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence

    from edge.cache.follow import CategoryTree
    from edge.live.change_history import LogPages, Published, Ring
    from edge.live.part_states import PartStates
    from partstream.content.v1 import part_change_pb2
    from partstream.inventory.v1 import stock_pb2

ENTRIES_AT_ONCE: Final = 1000  # of the ring, skipped or prepared before control returns to the event loop
STATES_AT_ONCE: Final = 500  # unknown states that are read together
SUMS_REMEMBERED: Final = 10_000  # of parts with several levels

_join = StockCodec().join


class Names(Protocol):
    """Parts or categories that a client subscribes to."""

    def __contains__(self, name: object, /) -> bool:
        """Return whether the client subscribes to this name."""

    def __len__(self) -> int:
        """Return the number of names."""

    def isdisjoint(self, names: Iterable[str], /) -> bool:
        """Return whether the client subscribes to none of these names."""


class Viewer(Protocol):
    """The audience that a client belongs to."""

    @property
    def is_stock_staff(self) -> bool:
        """Return whether the client may view the stock of unpublished parts."""


@dataclass(frozen=True, slots=True)
class LogAccess:
    """What every catch-up reads from. Without ``pages`` it can read nothing older than the ring."""

    ring: Ring
    states: PartStates
    tree: CategoryTree
    pages: LogPages | None


@dataclass(frozen=True, slots=True)
class Preparation:
    """Work to await before the next event can be taken."""

    run: Callable[[], Awaitable[None]]


class CatchUp:
    """The changes after some positions, for one client, in an order in which every cursor is correct.

    An open catch-up continues to the newest change; a closed one ends at the last change published before ``close``.
    """

    def __init__(
        self,
        access: LogAccess,
        viewer: Viewer,
        since: Mapping[str, Position],
        listens_to: Callable[[], tuple[Names, Names]],
    ) -> None:
        """``since`` has a position in each log; ``listens_to`` returns the subscribed parts and categories."""
        self._access = access
        self._viewer = viewer
        self._positions = dict(since)
        self._listens_to = listens_to
        self._end: int | None = None
        self._serial: int | None = None  # of the next entry in the ring; ``None`` before the ring is reached
        self._ready: deque[Event] = deque()
        self._unpublished: set[str] = set()  # parts that are published later in the ring
        self._current_up_to: dict[str, int] = {}  # parts sent with their current stock, up to a revision
        self._sums: dict[str, stock_pb2.PartStock] = {}

    def close(self) -> None:
        """Stop at what is published now."""
        self._end = self._access.ring.end

    def take(self) -> Event | Preparation | None:
        """Return the next event, the work to await before it, or ``None`` at the end."""
        if self._ready:
            return self._ready.popleft()
        ring = self._access.ring
        if self._serial is None:
            if not all(ring.covers(position) for position in self._positions.values()):
                if self._access.pages is None:
                    raise TooSlow
                return Preparation(self._read_page)
            self._serial = ring.first_after(self._positions)
            self._unpublished = self._become_public()
        return self._take_from_ring(self._serial)

    def _take_from_ring(self, serial: int) -> Event | Preparation | None:
        ring = self._access.ring
        end = ring.end if self._end is None else self._end
        until = min(end, serial + ENTRIES_AT_ONCE)
        while serial < until:
            entry = ring.entry(serial)
            if entry is None and not all(ring.covers(position) for position in self._positions.values()):
                self._serial = None  # the entry was evicted
                return self.take()
            if entry is not None and self._wants(entry):
                if not _is_known(entry.event):
                    self._serial = serial
                    return Preparation(self._prepare_entries)
                self._pass(entry)
                self._serial = serial + 1
                self._ready.extend(self._events_of(entry))
                return self._ready.popleft()
            if entry is not None:
                self._pass(entry)
            serial += 1
        self._serial = serial
        return None if serial >= end else Preparation(_yield_to_loop)

    def _wants(self, entry: Published) -> bool:
        if entry.revision <= self._positions[entry.log].revision:
            return False
        if isinstance(entry.change, ContentEvent):
            return self._listens(entry.change.part_id, entry.change.categories)
        return self._wants_stock_of(entry.change.part_id, entry.revision)

    def _wants_stock_of(self, part_id: str, revision: int) -> bool:
        if self._current_up_to and revision <= self._current_up_to.get(part_id, 0):
            return False
        if part_id in self._unpublished and not self._viewer.is_stock_staff:
            return False  # stock changes before the publication of a part are not public
        state = self._access.states.get(part_id)
        category = None if state is None else state.category_id
        return self._listens(part_id, None if category is None else self._access.tree.upwards(category))

    def _listens(self, part_id: str, categories: Iterable[str] | None) -> bool:
        """Return whether the client subscribes to a part; a part of unknown category may belong to any."""
        parts, listened = self._listens_to()
        if part_id in parts:
            return True
        return bool(listened) and (categories is None or not listened.isdisjoint(categories))

    def _pass(self, entry: Published) -> None:
        here = self._positions[entry.log]
        if entry.revision > here.revision:
            self._positions[entry.log] = Position(entry.log, here.epoch, entry.revision)

    @property
    def _cursor_positions(self) -> tuple[Position, ...]:
        return tuple(self._positions.values())

    def _events_of(self, entry: Published) -> Iterator[Event]:
        """Yield the events of an entry whose state is known, at positions that are not behind the client's."""
        event = entry.event
        if event is None:
            return
        yield event if event.positions == self._cursor_positions else event.at(self._cursor_positions)
        if isinstance(event, ContentEvent):
            yield from self._first_stock(event)

    def _first_stock(self, event: ContentEvent) -> Iterator[StockEvent]:
        """Yield the stock of a part that was just published: public clients do not have it yet."""
        if event.public_operation != "created" or self._viewer.is_stock_staff:
            return
        newest = self._access.ring.newest(keys.INVENTORY)
        self._unpublished.discard(event.part_id)
        self._current_up_to[event.part_id] = newest
        yield stock_of_published(event, self._access.states, newest)

    def _become_public(self) -> set[str]:
        """Return the parts that are published by entries of the ring after the position."""
        if self._viewer.is_stock_staff:
            return set()
        here = self._positions[keys.CONTENT].revision
        return {
            entry.change.part_id
            for entry in self._access.ring.entries()
            if isinstance(entry.change, ContentEvent)
            and entry.revision > here
            and entry.change.public_operation == "created"
        }

    async def _prepare_entries(self) -> None:
        """Prepare the next events: read unknown states, make events for changes that had no subscriber."""
        ring = self._access.ring
        start = self._serial or 0
        until = min(start + ENTRIES_AT_ONCE, ring.end if self._end is None else self._end)
        entries = [entry for serial in range(start, until) if (entry := ring.entry(serial)) is not None]
        wanted = [entry for entry in entries if self._wants(entry)]
        if await self._read_states(wanted):
            return
        unmade = [entry.change for entry in wanted if not _is_known(entry.event)]
        made = {event.change.revision: event for event in await self._stock_events(unmade)}
        for entry in entries:
            is_wanted = self._wants(entry)
            self._pass(entry)
            if is_wanted and _is_known(entry.event):
                self._ready.extend(self._events_of(entry))
            elif is_wanted and entry.log == keys.INVENTORY and entry.revision in made:
                self._ready.append(made[entry.revision].at(self._cursor_positions))
        self._serial = until

    async def _read_states(self, wanted: Sequence[Published]) -> bool:
        """Read the states that the next events need; return whether the state of the first one is known."""
        states = self._access.states
        first = wanted[0].event if wanted else None
        if first is None:
            return False
        waiting = [entry.event for entry in wanted if isinstance(entry.event, StockEvent) and not entry.event.is_known]
        del waiting[STATES_AT_ONCE:]
        for event in waiting:
            event.state = states.keep(event.state)
        await states.ensure([event.state for event in waiting])
        return _is_known(first)

    async def _read_page(self) -> None:
        """Read a page of a log that the ring does not cover: content first, because it tells which parts are public."""
        access = self._access
        if access.pages is None:
            raise TooSlow
        log = next(log for log in (keys.CONTENT, keys.INVENTORY) if not access.ring.covers(self._positions[log]))
        try:
            page = await access.pages.after(self._positions[log])
        except (CursorCompacted, EpochChanged, CursorFromFuture, CursorMalformed):
            raise ResyncNeeded from None
        await self._take_page(log, page.changes)

    async def _take_page(self, log: str, changes: Iterable[Any]) -> None:
        if log == keys.CONTENT:
            for change in changes:
                self._reach(log, change.revision)
                self._ready.extend(self._content_events(change))
            return
        self._unpublished = self._become_public()
        changes = list(changes)
        last = changes[-1].revision
        self._ready.extend(await self._stock_events(changes))
        self._reach(log, last)

    def _reach(self, log: str, revision: int) -> None:
        self._positions[log] = Position(log, self._positions[log].epoch, revision)

    def _content_events(self, change: part_change_pb2.PartChange) -> Iterator[Event]:
        if not change.part_id:
            return
        event = ContentEvent(change, self._cursor_positions, categories_of(change, self._access.tree))
        if self._listens(event.part_id, event.categories):
            yield event
            yield from self._first_stock(event)

    async def _stock_events(self, changes: Iterable[stock_change_pb2.StockChange]) -> list[StockEvent]:
        """Return the events of changes in order, for the parts that the client subscribes to."""
        states = self._access.states
        by_part: defaultdict[str, list[stock_change_pb2.StockChange]] = defaultdict(list)
        for change in changes:
            if change.part_id and self._wants_stock_of(change.part_id, change.revision):
                by_part[change.part_id].append(change)
        known = {part_id: states.obtain(part_id) for part_id in by_part}
        await states.ensure(known.values())
        positions = dict(self._positions)
        events: list[StockEvent] = []
        for part_id, of_part in by_part.items():
            state = states.keep(known[part_id])
            if state.stock is None or not self._wants_stock_of(part_id, of_part[0].revision):
                continue
            for change, after in zip(of_part, replay(state.stock, of_part), strict=True):
                here = Position(keys.INVENTORY, positions[keys.INVENTORY].epoch, change.revision)
                at = tuple((positions | {keys.INVENTORY: here}).values())
                events.append(StockEvent(change, state, at, self._not_older(after)))
        events.sort(key=lambda event: event.change.revision)
        return events

    def _not_older(self, stock: stock_pb2.PartStock) -> stock_pb2.PartStock:
        if len(stock.levels) < 2:
            return stock
        known = self._sums.pop(stock.part_id, None)
        joined = self._sums[stock.part_id] = stock if known is None else _join(known, stock)
        if len(self._sums) > SUMS_REMEMBERED:
            del self._sums[next(iter(self._sums))]
        return joined


def stock_of_published(event: ContentEvent, states: PartStates, revision: int) -> StockEvent:
    """Return the current stock of a part as an event for clients that could not view the part until now."""
    state = states.obtain(event.part_id)
    change = stock_change_pb2.StockChange(part_id=event.part_id, revision=revision)
    change.commit_time.FromJsonString(event.commit_time)
    stock = StockEvent(change, state, event.positions, state.stock)
    if state.stock is None:
        state.waiting.append(stock)
    return stock


def categories_of(change: part_change_pb2.PartChange, tree: CategoryTree) -> frozenset[str]:
    """Return the categories that a part is or was in, with their ancestors."""
    found: set[str] = set()
    for name in ("before", "after"):
        if change.HasField(name):
            found.update(tree.upwards(getattr(change, name).category_id))
    return frozenset(found)


def _is_known(event: Event | None) -> bool:
    return event is not None and (not isinstance(event, StockEvent) or event.is_known)


async def _yield_to_loop() -> None:
    await asyncio.sleep(0)
