"""Serves one log to many watchers: one reader per process, shared bytes, and a position per watcher.

A watcher older than the window reads pages of the table and joins the window without a gap or a duplicate. Bookmarks
are sent by the same loop as changes, so that none can overtake a change.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from changelog import cursor as cursors
from changelog.catch_up import CatchUp
from changelog.tailer import Tailer
from changelog.watch_response import Cut, compose, cut_message
from changelog.window import WINDOW_BYTES, WINDOW_ENTRIES
from chassis.errors import (
    CursorCompacted,
    CursorFromFuture,
    CursorMalformed,
    Draining,
    EpochChanged,
    FollowerNotFound,
    RevisionNotYetServed,
    StoreUnavailable,
    WatcherTooSlow,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable, Sequence
    from typing import TypeAlias
    from uuid import UUID

    from changelog.follower_registry import FollowerRegistry
    from changelog.log_entry import LogEntry
    from changelog.log_reader import LogReader
    from changelog.window import Window, WindowEntry

    # Given part ids, returns those that are hidden from a watcher now.
    Hides: TypeAlias = Callable[[Collection[str]], Awaitable[frozenset[str]]]

_REMEMBERED_MESSAGES = 8
_MAX_LEAD = 1000  # revisions; a token further beyond the head was never issued by this log


@dataclass(slots=True)
class _Watcher:
    """The position and the filters of one watcher."""

    revision: int
    epoch: UUID
    generation: int
    part_ids: frozenset[str]
    audience: str
    hides: Hides | None = None
    joined: bool = False  # has been in the window: a watcher that falls out of it is too slow
    page: list[WindowEntry] = field(default_factory=list)  # read from the table and not sent yet


@dataclass(frozen=True, slots=True)
class _Step:
    """The revision that a watcher reaches next, and its message; ``None`` when every entry was filtered out."""

    reached: int
    message: bytes | None


class ChangeFeed:
    """The feed of one log in one process."""

    def __init__(
        self,
        reader: LogReader,
        encode: Callable[[LogEntry, str], bytes],
        keys: Callable[[LogEntry], frozenset[str]],
        *,
        max_window_bytes: int = WINDOW_BYTES,
        max_window_entries: int = WINDOW_ENTRIES,
    ) -> None:
        """``encode(entry, audience)`` serialises a change for an audience; ``b""`` hides it."""
        self._reader = reader
        self._tailer = Tailer(
            reader, encode, keys, max_window_bytes=max_window_bytes, max_window_entries=max_window_entries
        )
        self._catch_up = CatchUp(self._tailer)
        self.followers: FollowerRegistry | None = None  # set where followers are registered
        self._draining = False
        self._shared: dict[tuple[int, int, int, str], _Step] = {}

    @property
    def log(self) -> str:
        """Return the name of the log."""
        return self._reader.log

    @property
    def tailer(self) -> Tailer:
        """Return the reader that fills the window."""
        return self._tailer

    @property
    def watchers(self) -> int:
        """Return how many watches are open."""
        return self._tailer.watchers

    async def start(self) -> None:
        """Load the window and start to tail."""
        await self._tailer.start()

    async def stop(self) -> None:
        """End every watch and stop tailing."""
        self.drain()
        self._catch_up.stop()
        await self._tailer.stop()

    def drain(self) -> None:
        """End every watch with ``Draining`` and reject new ones."""
        self._draining = True
        self._tailer.moved.notify_all()

    def wake(self) -> None:
        """Read the table now: this process has just committed."""
        self._tailer.wake()

    def take(self, entries: Sequence[LogEntry]) -> bool:
        """Serve entries that this process has just committed; return false when they must be read from the table."""
        return self._tailer.take(entries)

    def token(self) -> str:
        """Return a token of the window's end: a lower bound for any read that starts now."""
        return self.token_for(self._tailer.window.end)

    def token_for(self, revision: int | None) -> str:
        """Return the token of a revision of this log; of the window's end when ``None``.

        Raise ``StoreUnavailable`` while the epoch of the log is not certain: no read could satisfy a token of another
        epoch.
        """
        if not self._tailer.is_certain:
            message = "The epoch of the change log is not certain. Retry with the same request_id."
            raise StoreUnavailable(message, retry_after_seconds=0.2)
        return self._cursor(self._tailer.window.end if revision is None else revision)

    async def wait_for(self, token: str, timeout_seconds: float = 0.25) -> None:
        """Return once the token's revision is committed; raise ``RevisionNotYetServed`` after the timeout.

        Raise ``CursorFromFuture`` at once for a token too far beyond the head. The head of the database decides, not
        the window, because reads go to the database.
        """
        position = cursors.position_in(token, self.log) if token else None
        if position is None:
            return
        deadline = time.monotonic() + timeout_seconds
        while True:
            if self._tailer.is_certain and position.epoch != self._tailer.epoch:
                raise _epoch_changed()
            if self._tailer.is_certain and position.revision <= self._tailer.window.end:
                return
            head = await self._reader.head()
            if head.epoch != position.epoch:
                raise _epoch_changed()
            if head.revision >= position.revision:
                return
            if position.revision > head.revision + _MAX_LEAD:
                message = "The requested revision does not exist. Use a token as it was returned."
                raise CursorFromFuture(message)
            left = deadline - time.monotonic()
            if left <= 0:
                message = "The requested revision is not available on this server yet. Retry."
                raise RevisionNotYetServed(message, retry_after_seconds=0.1)
            await self._tailer.moved.wait(min(left, 0.05))

    async def watch(
        self,
        cursor: str,
        part_ids: Collection[str],
        bookmark_interval: float,
        audience: str,
        hides: Hides | None = None,
        follower: str = "",
    ) -> AsyncGenerator[bytes, None]:
        """Yield serialised Watch responses after a cursor, permanently; the first is a bookmark of the start.

        ``hides`` is called before every message, so that a part is hidden without delay. With the name of a registered
        ``follower``, the position sent is recorded for it.
        """
        watcher = await self._admit(cursor, frozenset(part_ids), audience)
        watcher.hides = hides
        record = await self._recorder(follower, watcher, has_start=bool(cursor))
        self._tailer.watchers += 1
        try:
            self._check(watcher)
            yield self._bookmark(watcher)
            sent_at = time.monotonic()
            while True:
                self._check(watcher)
                step = await self._next(watcher)
                if step is not None:
                    watcher.revision = step.reached
                    if record is not None:
                        record(cursors.Position(self.log, watcher.epoch, step.reached))
                    if step.message is not None:
                        yield step.message
                        sent_at = time.monotonic()
                        continue
                left = sent_at + bookmark_interval - time.monotonic()
                if left <= 0:
                    self._check(watcher)
                    yield self._bookmark(watcher)
                    sent_at = time.monotonic()
                elif step is None:
                    await self._tailer.moved.wait(left)
        finally:
            self._tailer.watchers -= 1

    async def _recorder(
        self, follower: str, watcher: _Watcher, *, has_start: bool
    ) -> Callable[[cursors.Position], None] | None:
        if not follower:
            return None
        if self.followers is None:
            message = "This service registers no followers."
            raise FollowerNotFound(message)
        start = cursors.Position(self.log, watcher.epoch, watcher.revision)
        return await self.followers.recorder(follower, start if has_start else None)

    async def _admit(self, cursor: str, part_ids: frozenset[str], audience: str) -> _Watcher:
        """Return a watcher at a cursor; raise the errors that the contract lists for cursors that cannot be served."""
        if self._draining:
            raise _draining()
        window, epoch, generation = self._tailer.window, self._tailer.epoch, self._tailer.generation
        window.serve(audience)
        if not cursor:
            return _Watcher(window.end, epoch, generation, part_ids, audience)
        position = cursors.position_in(cursor, self.log)
        if position is None:
            message = f"The cursor belongs to another log than {self.log}."
            raise CursorMalformed(message)
        if not self._tailer.is_certain or position.epoch != self._tailer.epoch or position.revision > window.end:
            await self._compare_with_head(position)
        if position.epoch != self._tailer.epoch:
            message = "This server has not loaded the new epoch of the log yet. Reconnect."
            raise StoreUnavailable(message, retry_after_seconds=0.2)
        if position.revision < window.start:
            await self._require_not_compacted(position.revision)
        return _Watcher(position.revision, epoch, generation, part_ids, audience)

    async def _compare_with_head(self, position: cursors.Position) -> None:
        head = await self._reader.head()
        if position.epoch != head.epoch:
            start = await self._reader.epoch_start()
            raise _epoch_changed(epoch_start_cursor=cursors.encode(start))
        if position.revision > head.revision:
            message = "The cursor is beyond the newest change."
            raise CursorFromFuture(message, metadata={"newest_cursor": cursors.encode(head)})

    async def _require_not_compacted(self, revision: int) -> None:
        oldest = await self._reader.oldest()
        if revision < oldest - 1:
            message = "The changes after this cursor are compacted. Read a snapshot and follow from its cursor."
            raise CursorCompacted(message, metadata={"oldest_cursor": self._cursor(oldest - 1)})

    def _check(self, watcher: _Watcher) -> None:
        if self._draining:
            raise _draining()
        if watcher.epoch != self._tailer.epoch:
            raise _epoch_changed()
        if watcher.generation != self._tailer.generation:
            message = "The window was loaded again. Reconnect from your last cursor."
            raise StoreUnavailable(message, retry_after_seconds=0.2)

    async def _next(self, watcher: _Watcher) -> _Step | None:
        """Return the next step of a watcher, from the window or the table; ``None`` when there is nothing new."""
        window = self._tailer.window
        if window.covers(watcher.revision, watcher.audience):
            watcher.joined, watcher.page = True, []
            return None if watcher.revision == window.end else await self._step_in_window(window, watcher)
        if watcher.revision > window.end:
            return None
        if watcher.joined and watcher.revision < window.start:
            message = "You read too slowly. Reconnect from your last cursor."
            raise WatcherTooSlow(message, metadata={"cursor": self._cursor(watcher.revision)})
        return await self._step_in_table(watcher)

    async def _step_in_window(self, window: Window, watcher: _Watcher) -> _Step | None:
        if watcher.hides is not None:
            return await self._cut_visible(list(window.after(watcher.revision)), watcher)
        if watcher.part_ids:
            return self._cut(window.after(watcher.revision), watcher)
        # Watchers without filters are at the same positions and share the whole message.
        key = (watcher.generation, watcher.revision, window.end, watcher.audience)
        step = self._shared.get(key)
        if step is None:
            step = self._cut(window.after(watcher.revision), watcher)
            if step is None:
                return None
            if len(self._shared) >= _REMEMBERED_MESSAGES:
                del self._shared[next(iter(self._shared))]
            self._shared[key] = step
        return step

    async def _step_in_table(self, watcher: _Watcher) -> _Step | None:
        """Return the next step from the present page, or from another one."""
        is_fresh = not watcher.page
        if is_fresh:
            watcher.page = await self._catch_up.page(watcher.revision, watcher.audience, watcher.part_ids)
            self._check(watcher)
        page = watcher.page
        if not page or page[0].revision != watcher.revision + 1:
            watcher.page = []
            await self._require_not_compacted(watcher.revision)
            return None
        step = await self._cut_visible(page, watcher)
        if step is None and not is_fresh:
            # The page ends within a transaction: read again from its start.
            watcher.page = []
            return await self._step_in_table(watcher)
        if step is None:
            # One transaction fills the page and continues after it: send a fragment.
            hidden = await self._hidden(page, watcher)
            shown = [entry for entry in page if not (entry.keys and entry.keys <= hidden)]
            chunks = [framed for entry in shown if (framed := entry.framed_for[watcher.audience])]
            step = self._step(Cut(b"".join(chunks), len(chunks), page[-1].revision, fragment=True))
        watcher.page = page[step.reached - watcher.revision :]
        return step

    async def _cut_visible(self, entries: Sequence[WindowEntry], watcher: _Watcher) -> _Step | None:
        hidden = await self._hidden(entries, watcher)
        self._check(watcher)
        return self._cut(entries, watcher, hidden)

    @staticmethod
    async def _hidden(entries: Iterable[WindowEntry], watcher: _Watcher) -> frozenset[str]:
        """Return the part ids of some entries that are hidden from the watcher now."""
        if watcher.hides is None:
            return frozenset()
        return await watcher.hides(frozenset().union(*(entry.keys for entry in entries)))

    def _cut(
        self, entries: Iterable[WindowEntry], watcher: _Watcher, hidden: frozenset[str] = frozenset()
    ) -> _Step | None:
        cut = cut_message(
            entries, watcher.revision, audience=watcher.audience, part_ids=watcher.part_ids, hidden=hidden
        )
        return self._step(cut) if cut.reached > watcher.revision else None

    def _step(self, cut: Cut) -> _Step:
        newest = max(self._tailer.window.end, cut.reached)
        return _Step(cut.reached, compose(self._cursor(cut.reached), newest, cut) if cut.count else None)

    def _bookmark(self, watcher: _Watcher) -> bytes:
        return compose(self._cursor(watcher.revision), max(self._tailer.window.end, watcher.revision))

    def _cursor(self, revision: int) -> str:
        return cursors.encode(cursors.Position(self.log, self._tailer.epoch, revision))


def _draining() -> Draining:
    return Draining("The server shuts down. Reconnect.", retry_after_seconds=0.2)


def _epoch_changed(**metadata: str) -> EpochChanged:
    return EpochChanged("The log has a new epoch. Read a snapshot and follow from its cursor.", metadata=metadata)
