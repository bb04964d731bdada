"""Past changes for clients that lag or resume: the latest in memory, older ones in pages of both logs."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from changelog.cursor import encode
from chassis.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from changelog.cursor import Position
    from changelog.follower import ChangeBatch, ChangeSource
    from edge.live.events import Event

MAX_ENTRIES: Final = 50_000
MAX_BYTES: Final = 64 * 1024 * 1024
_ENTRY_BYTES: Final = 300  # of an entry besides its change
_EVENT_BYTES: Final = 900  # of the event made of it, with the stock after it and its frames


@dataclass(slots=True, eq=False)
class Published:
    """A change and the positions of both logs just after it. ``change`` is a stock change or a content event.

    ``event`` is what was sent to subscribers, shared by all who read it later; ``None`` when there was no subscriber.
    """

    log: str
    revision: int
    positions: tuple[Position, ...]
    change: Any
    size: int
    serial: int
    event: Event | None = None


class Ring:
    """The latest changes of both logs in the order this process published them, bounded by entries and by bytes."""

    def __init__(self, max_entries: int = MAX_ENTRIES) -> None:
        """Begin empty."""
        self._entries: dict[int, Published] = {}  # by serial, oldest first
        self._max_entries = max_entries
        self._bytes = 0
        self._floors: dict[str, int] = {}
        self._newest: dict[str, int] = {}
        self._first = 0  # no entry has a lower serial number
        self.end = 0  # serial number of the next entry

    def __len__(self) -> int:
        return len(self._entries)

    def begin(self, position: Position) -> None:
        """Restart a log at a position: hold nothing up to it."""
        self._floors[position.log] = self._newest[position.log] = position.revision
        self._entries = {entry.serial: entry for entry in self._entries.values() if entry.log != position.log}
        self._bytes = sum(entry.size for entry in self._entries.values())

    def add(
        self, log: str, revision: int, positions: tuple[Position, ...], change: Any, change_bytes: int
    ) -> Published:
        """Add an entry and evict the oldest ones beyond the bounds."""
        size = _ENTRY_BYTES + change_bytes
        entry = self._entries[self.end] = Published(log, revision, positions, change, size, self.end)
        self.end += 1
        self._bytes += size
        self._newest[log] = revision
        self._shrink()
        return entry

    def keep(self, entry: Published, event: Event) -> None:
        """Attach to the newest entry the event that was made of it."""
        entry.event = event
        entry.size += _EVENT_BYTES
        self._bytes += _EVENT_BYTES
        self._shrink()

    def _shrink(self) -> None:
        while len(self._entries) > self._max_entries or self._bytes > MAX_BYTES:
            oldest = self._entries.pop(self._oldest())
            self._bytes -= oldest.size
            self._floors[oldest.log] = oldest.revision

    def covers(self, position: Position) -> bool:
        """Return whether everything after the position is held."""
        floor = self._floors.get(position.log)
        return floor is not None and position.revision >= floor

    def holds(self, entry: Published) -> bool:
        """Return whether the entry was not evicted yet."""
        return entry.revision > self._floors.get(entry.log, 0)

    def entry(self, serial: int) -> Published | None:
        """Return the entry with a serial number; ``None`` when it was evicted."""
        return self._entries.get(serial)

    def entries(self) -> Iterable[Published]:
        """Return all entries, oldest first. Add nothing while iterating."""
        return self._entries.values()

    def newest(self, log: str) -> int:
        """Return the newest revision of a log."""
        return self._newest.get(log, 0)

    def first_after(self, positions: Mapping[str, Position]) -> int:
        """Return the serial number of the first entry after the positions. The ring must cover all of them."""
        missed = self.after(positions)
        return missed[0].serial if missed else self.end

    def after(self, positions: Mapping[str, Position]) -> list[Published]:
        """Return the entries after a position in each log, oldest first.

        Costs as much as was missed, not as much as is held.
        """
        ahead = {log for log, newest in self._newest.items() if newest > positions[log].revision}
        found: list[Published] = []
        for entry in reversed(self._entries.values()):
            if not ahead:
                break
            if entry.revision > positions[entry.log].revision:
                found.append(entry)
            else:
                ahead.discard(entry.log)
        found.reverse()
        return found

    def _oldest(self) -> int:
        """Return the lowest serial number held. Counted, because finding a dict's first key skips every deleted one."""
        while self._first not in self._entries:
            self._first += 1
        return self._first


READS_AT_ONCE: Final = 4
PAGES_REMEMBERED: Final = 8  # of 1 MiB at most on the wire; clients that lag together read the same ones
PAGE_SECONDS: Final = 10.0
_BOOKMARK_SECONDS: Final = 5.0


class LogPages:
    """Reads one message of a log at a time, shared by all clients that need the same one."""

    def __init__(self, sources: Mapping[str, ChangeSource]) -> None:
        """``sources`` has each log."""
        self._sources = sources
        self._reads = asyncio.Semaphore(READS_AT_ONCE)
        self._pages: OrderedDict[Position, asyncio.Task[ChangeBatch]] = OrderedDict()

    async def after(self, position: Position) -> ChangeBatch:
        """Return the changes that follow a position, at least one. Do not call at the end of the log.

        Raise ``CursorCompacted`` or ``EpochChanged`` when they no longer exist, ``StoreUnavailable`` when they cannot
        be read now.
        """
        task = self._pages.get(position)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = self._pages[position] = asyncio.create_task(self._read(position), name="log-page")
        self._pages.move_to_end(position)
        while len(self._pages) > PAGES_REMEMBERED and self._pages[next(iter(self._pages))].done():
            self._pages.popitem(last=False)
        return await asyncio.shield(task)

    async def _read(self, position: Position) -> ChangeBatch:
        async with self._reads:
            stream = self._sources[position.log].watch(encode(position), _BOOKMARK_SECONDS)
            try:
                async with asyncio.timeout(PAGE_SECONDS), contextlib.aclosing(stream) as messages:
                    async for message in messages:
                        if message.changes:
                            return message
            except TimeoutError:
                pass
        problem = "The change log cannot be read."
        raise StoreUnavailable(problem)
