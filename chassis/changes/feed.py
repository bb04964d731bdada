"""Serving one log to many watchers: one reader per process, shared bytes, and a position per watcher.

A watcher older than the window pages through the table and joins the window without gap or repeat. Bookmarks come from
the same loop as changes, so that none can overtake a change.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chassis.changes import cursor as cursors
from chassis.changes.message import Cut, compose, cut_message
from chassis.changes.tailer import Tailer
from chassis.errors import (
    CursorCompacted,
    CursorFromFuture,
    CursorMalformed,
    Draining,
    EpochChanged,
    RevisionNotYetServed,
    WatcherTooSlow,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Collection

    from chassis.changes.log_entry import LogEntry
    from chassis.changes.log_reader import LogReader
    from chassis.changes.window import Window, WindowEntry

_CATCH_UP_PAGE = 1000
_CATCH_UPS_AT_ONCE = 4  # each holds a connection of the pool while it reads a page
_REMEMBERED_CUTS = 8
_HONEST_LEAD = 1000  # revisions; a token further beyond the head was never given out by this log


@dataclass(slots=True)
class _Watcher:
    """Where one watcher is and what it wants."""

    revision: int
    epoch: bytes
    part_ids: frozenset[str]
    audience: str
    joined: bool = False  # once in the window, falling out of it means too slow


class ChangeFeed:
    """The feed of one log in one process."""

    def __init__(
        self,
        reader: LogReader,
        encode: Callable[[LogEntry, str], bytes],
        keys: Callable[[LogEntry], frozenset[str]],
        *,
        max_window_bytes: int = 64 * 1024 * 1024,
        max_window_entries: int = 50_000,
    ) -> None:
        """``encode(entry, audience)`` serialises a change for ``staff`` or ``public``, ``b""`` to hide it."""
        self._reader = reader
        self._tailer = Tailer(
            reader, encode, keys, max_window_bytes=max_window_bytes, max_window_entries=max_window_entries
        )
        self._catch_ups = asyncio.Semaphore(_CATCH_UPS_AT_ONCE)
        self._draining = asyncio.Event()
        self._cuts: dict[tuple[bytes, int, int, str], Cut] = {}
        self.watchers = 0

    @property
    def log(self) -> str:
        """The log's name."""
        return self._reader.log

    @property
    def tailer(self) -> Tailer:
        """The reader that fills the window."""
        return self._tailer

    async def start(self) -> None:
        """Load the window and begin to tail."""
        await self._tailer.start()

    async def stop(self) -> None:
        """End every watch and stop tailing."""
        self.drain()
        await self._tailer.stop()

    def drain(self) -> None:
        """End every watch with ``Draining``; new ones are refused."""
        self._draining.set()
        self._tailer.nudge_watchers()

    def wake(self) -> None:
        """Look at the table now: this process has just committed."""
        self._tailer.wake()

    def token(self) -> str:
        """A token of what this process has seen: a lower bound for any read that starts now."""
        return self.token_for(self._tailer.window.end)

    def token_for(self, revision: int | None) -> str:
        """The token of a revision of this log; of the newest one seen when ``None``."""
        if revision is None:
            return self.token()
        return cursors.encode(cursors.Position(self.log, self._tailer.epoch, revision))

    async def wait_for(self, token: str, timeout_seconds: float = 0.25) -> None:
        """Return once the token's revision is committed here; ``RevisionNotYetServed`` after the time-out.

        ``CursorFromFuture`` at once for a token so far ahead that it was made up.
        Reads go to the database itself, so that its head decides, not the window.
        """
        if not token:
            return
        position = cursors.position_in(token, self.log)
        if position is None:
            return
        deadline = time.monotonic() + timeout_seconds
        while True:
            if position.epoch != self._tailer.epoch:
                raise _epoch_changed()
            if position.revision <= self._tailer.window.end:
                return
            head = await self._reader.head()
            if head.epoch == position.epoch and head.revision >= position.revision:
                return
            if position.revision > head.revision + _HONEST_LEAD:
                message = "The revision asked for does not exist."
                raise CursorFromFuture(message)
            left = deadline - time.monotonic()
            if left <= 0:
                message = "This server has not yet served the revision asked for."
                raise RevisionNotYetServed(message, retry_after_seconds=0.1)
            await self._tailer.changed(min(left, 0.05))

    async def watch(
        self, cursor: str, part_ids: Collection[str], bookmark_interval: float, audience: str
    ) -> AsyncGenerator[bytes, None]:
        """Serialised Watch responses after a cursor, for ever; the first one is a bookmark of where it begins."""
        watcher = await self._admit(cursor, frozenset(part_ids), audience)
        self.watchers += 1
        try:
            yield compose(self._cursor(watcher))
            spoke_at = time.monotonic()
            while True:
                self._check(watcher)
                cut = await self._next(watcher)
                if cut is not None:
                    watcher.revision = cut.reached
                    if cut.count:
                        yield compose(self._cursor(watcher), cut)
                        spoke_at = time.monotonic()
                        continue
                left = spoke_at + bookmark_interval - time.monotonic()
                if left <= 0:
                    yield compose(self._cursor(watcher))
                    spoke_at = time.monotonic()
                elif cut is None:
                    await self._tailer.changed(left)
        finally:
            self.watchers -= 1

    async def _admit(self, cursor: str, part_ids: frozenset[str], audience: str) -> _Watcher:
        """Check a cursor and place the watcher; raises what the contract lists for cursors that cannot be served."""
        if self._draining.is_set():
            raise _draining()
        window = self._tailer.window
        if not cursor:
            return _Watcher(window.end, self._tailer.epoch.bytes, part_ids, audience)
        position = cursors.position_in(cursor, self.log)
        if position is None:
            message = f"The cursor is not one of the {self.log} log."
            raise CursorMalformed(message)
        head = None
        if position.epoch != self._tailer.epoch or position.revision > window.end:
            head = await self._reader.head()
        if position.epoch != (head.epoch if head else self._tailer.epoch):
            start = await self._reader.epoch_start()
            raise _epoch_changed(epoch_start_cursor=cursors.encode(start))
        if head and position.revision > head.revision:
            message = "The cursor lies beyond the newest change."
            raise CursorFromFuture(message, metadata={"newest_cursor": self.token_for(head.revision)})
        if position.revision < window.start:
            await self._refuse_compacted(position.revision)
        return _Watcher(position.revision, position.epoch.bytes, part_ids, audience)

    async def _refuse_compacted(self, revision: int) -> None:
        oldest = await self._reader.oldest()
        if revision < oldest - 1:
            message = "Changes after this cursor are no longer kept: read a snapshot and follow from it."
            raise CursorCompacted(message, metadata={"oldest_cursor": self.token_for(oldest - 1)})

    def _check(self, watcher: _Watcher) -> None:
        if self._draining.is_set():
            raise _draining()
        if watcher.epoch != self._tailer.epoch.bytes:
            raise _epoch_changed()

    async def _next(self, watcher: _Watcher) -> Cut | None:
        """The next cut for a watcher, from the window or the table; ``None`` when there is nothing new."""
        window = self._tailer.window
        if window.covers(watcher.revision):
            watcher.joined = True
            if watcher.revision == window.end:
                return None
            cut = self._cut_window(window, watcher)
            return cut if cut.reached > watcher.revision else None
        if watcher.revision > window.end:
            return None
        if watcher.joined:
            message = "You did not keep up with the changes: connect again from your last cursor."
            raise WatcherTooSlow(message, metadata={"cursor": self._cursor(watcher)})
        return await self._cut_table(watcher)

    def _cut_window(self, window: Window, watcher: _Watcher) -> Cut:
        if watcher.part_ids:
            return cut_message(
                window.after(watcher.revision), watcher.revision, audience=watcher.audience, part_ids=watcher.part_ids
            )
        # Watchers of everything stand at the same places: the joined bytes are shared as well.
        key = (watcher.epoch, watcher.revision, window.end, watcher.audience)
        cut = self._cuts.get(key)
        if cut is None:
            cut = cut_message(window.after(watcher.revision), watcher.revision, audience=watcher.audience, part_ids=())
            if len(self._cuts) >= _REMEMBERED_CUTS:
                del self._cuts[next(iter(self._cuts))]
            self._cuts[key] = cut
        return cut

    async def _cut_table(self, watcher: _Watcher) -> Cut | None:
        async with self._catch_ups:
            await self._refuse_compacted(watcher.revision)
            entries: list[WindowEntry] = await self._tailer.read(watcher.revision, _CATCH_UP_PAGE)
        if not entries:
            return None
        cut = cut_message(entries, watcher.revision, audience=watcher.audience, part_ids=watcher.part_ids)
        if cut.reached > watcher.revision:
            return cut
        # One transaction fills the whole page: send it as a fragment.
        chunks = [
            framed
            for entry in entries
            if not watcher.part_ids or not entry.keys.isdisjoint(watcher.part_ids)
            if (framed := entry.framed(watcher.audience))
        ]
        return Cut(b"".join(chunks), len(chunks), entries[-1].revision, fragment=True)

    def _cursor(self, watcher: _Watcher) -> str:
        return self.token_for(watcher.revision)


def _draining() -> Draining:
    return Draining("The server is being replaced: connect again.", retry_after_seconds=0.2)


def _epoch_changed(**metadata: str) -> EpochChanged:
    return EpochChanged("The log has begun a new epoch: read a snapshot and follow from it.", metadata=metadata)
