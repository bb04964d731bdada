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

    ``event`` is what was sent to those who listened, shared with all who read it later; ``None`` when there was nobody.
    """

    log: str
    revision: int
    positions: tuple[Position, ...]
    change: Any
    size: int
    serial: int
    event: Event | None = None


class Ring:
    """Bounded by entries and by bytes; knows from which revision on it is complete."""

    def __init__(self, max_entries: int = MAX_ENTRIES, max_bytes: int = MAX_BYTES) -> None:
        """Begin empty."""
        self._entries: dict[int, Published] = {}  # by serial, oldest first
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._bytes = 0
        self._floors: dict[str, int] = {}
        self._newest: dict[str, int] = {}
        self._first = 0  # no entry has a lower serial
        self.end = 0  # the serial of the next entry

    def __len__(self) -> int:
        return len(self._entries)

    def begin(self, position: Position) -> None:
        """Nothing of this log is held up to the position."""
        self._floors[position.log] = self._newest[position.log] = position.revision
        self._entries = {entry.serial: entry for entry in self._entries.values() if entry.log != position.log}
        self._bytes = sum(entry.size for entry in self._entries.values())

    def add(
        self, log: str, revision: int, positions: tuple[Position, ...], change: Any, change_bytes: int
    ) -> Published:
        """Hold one more; the oldest leave."""
        size = _ENTRY_BYTES + change_bytes
        entry = self._entries[self.end] = Published(log, revision, positions, change, size, self.end)
        self.end += 1
        self._bytes += size
        self._newest[log] = revision
        self._shrink()
        return entry

    def keep(self, entry: Published, event: Event) -> None:
        """Hold the event that was made of the newest entry, too."""
        entry.event = event
        entry.size += _EVENT_BYTES
        self._bytes += _EVENT_BYTES
        self._shrink()

    def _shrink(self) -> None:
        while len(self._entries) > self._max_entries or self._bytes > self._max_bytes:
            oldest = self._entries.pop(self._oldest())
            self._bytes -= oldest.size
            self._floors[oldest.log] = oldest.revision

    def covers(self, position: Position) -> bool:
        """Whether everything after the position is held."""
        floor = self._floors.get(position.log)
        return floor is not None and position.revision >= floor

    def holds(self, entry: Published) -> bool:
        """Whether the entry has not left yet."""
        return entry.revision > self._floors.get(entry.log, 0)

    def entry(self, serial: int) -> Published | None:
        """The entry with a serial number, unless it has left."""
        return self._entries.get(serial)

    def entries(self) -> Iterable[Published]:
        """All that is held, oldest first. Add nothing meanwhile."""
        return self._entries.values()

    def newest(self, log: str) -> int:
        """The newest revision of a log."""
        return self._newest.get(log, 0)

    def first_after(self, positions: Mapping[str, Position]) -> int:
        """The serial of the first entry after a position in its log. All those positions must be covered."""
        missed = self.after(positions)
        return missed[0].serial if missed else self.end

    def after(self, positions: Mapping[str, Position]) -> list[Published]:
        """What lies after a position in each log, oldest first. Costs as much as was missed, not as much as is held."""
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
        """The lowest serial held. Counted, because looking for a dict's first key passes over all that were deleted."""
        while self._first not in self._entries:
            self._first += 1
        return self._first


READS_AT_ONCE: Final = 4
PAGES_REMEMBERED: Final = 8  # of 1 MiB at most on the wire; clients that lag together read the same ones
PAGE_SECONDS: Final = 10.0
_BOOKMARK_SECONDS: Final = 5.0


class LogPages:
    """Reads one message of a log at a time, shared by those who ask for the same one."""

    def __init__(self, sources: Mapping[str, ChangeSource]) -> None:
        """``sources`` has each log."""
        self._sources = sources
        self._reads = asyncio.Semaphore(READS_AT_ONCE)
        self._pages: OrderedDict[Position, asyncio.Task[ChangeBatch]] = OrderedDict()

    async def after(self, position: Position) -> ChangeBatch:
        """The changes that follow a position, one at least. Do not ask at the end of the log.

        ``CursorCompacted`` or ``EpochChanged`` when they are no longer there, ``StoreUnavailable`` when they cannot be
        read now.
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
