"""Reads new entries of a log into the window and wakes the watchers; one reader per process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from itertools import pairwise
from typing import TYPE_CHECKING
from uuid import UUID

from changelog.window import EntryEncoder, Window, WindowEntry
from chassis.background import Backoff, end
from chassis.errors import PartstreamError, StoreUnavailable
from chassis.store_errors import translated

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from changelog.log_entry import LogEntry, LogPage
    from changelog.log_reader import LogReader

log = logging.getLogger(__name__)

POLL_SECONDS = 0.25  # covers a lost notification
_PAGE = 1000
_LOADED_AT_START = 5000
_YIELD_EVERY = 200  # entries encoded before the event loop runs other tasks: about 2 ms
# To wake the watchers costs about 60 us for each. The pause before the next wake-up grows with their number, so that
# under a load of writes at most a sixth of the process's time goes to it; changes of the meantime share a message.
_PACE_SECONDS = 0.0004
_MAX_PACE_SECONDS = 0.1


class Tailer:
    """Reads the table from the end of the window."""

    def __init__(
        self,
        reader: LogReader,
        encode: Callable[[LogEntry, str], bytes],
        keys: Callable[[LogEntry], frozenset[str]],
        *,
        max_window_bytes: int,
        max_window_entries: int,
    ) -> None:
        """``encode`` and ``keys`` are those of ``EntryEncoder``."""
        self._reader = reader
        self._tail = reader.tail()
        self._tail.on_lost = self._lost
        self._encoder = EntryEncoder(encode, keys)
        self._bounds = (max_window_entries, max_window_bytes)
        self.window = Window(0)
        self.epoch = UUID(int=0)
        self.generation = 0  # rises when a window does not continue the one before
        self.is_certain = False  # whether the epoch and the window's end are those of the database
        self.watchers = 0
        self.moved = BroadcastEvent()
        self._wake = asyncio.Event()
        self._paused_until = 0.0
        self._notify_timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load the newest entries, then tail in the background."""
        await self._load()
        self._task = asyncio.create_task(self._run(), name=f"tail-{self._reader.log}")

    async def stop(self) -> None:
        """Stop tailing."""
        if self._notify_timer is not None:
            self._notify_timer.cancel()
        if self._task is not None:
            await end(self._task)
        await self._tail.close()

    def wake(self) -> None:
        """Read at once and not at the next poll."""
        self._wake.set()

    async def read(self, after: int, limit: int) -> LogPage:
        """Return a page of the table; raise ``StoreUnavailable`` when its epoch is not that of the window."""
        page = await self._reader.page(after, limit)
        if page.epoch != self.epoch:
            self.wake()
            message = "The log has a new epoch. Reconnect."
            raise StoreUnavailable(message, retry_after_seconds=0.2)
        return page

    async def serialised(self, page: LogPage, audience: str, part_ids: Collection[str]) -> list[WindowEntry]:
        """Return the entries of a page, encoded for one audience."""
        return await self._encoded(page, (audience,), part_ids)

    async def _encoded(
        self, page: LogPage, audiences: Collection[str], part_ids: Collection[str] = ()
    ) -> list[WindowEntry]:
        encoded: list[WindowEntry] = []
        for entry in page.entries:
            encoded.append(self._encoder(entry, audiences, part_ids))
            if len(encoded) % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
        _mark_ends(page.entries, encoded, is_whole=page.is_whole)
        return encoded

    @property
    def takes_from(self) -> int:
        """Return the revision after which ``take`` continues; 0 when it is cheaper to read many commits at once.

        That is during the pause after many watchers were woken.
        """
        return self.window.end if asyncio.get_running_loop().time() >= self._paused_until else 0

    def take(self, entries: Sequence[LogEntry]) -> bool:
        """Append entries that this process has just committed; return false unless they continue the window.

        The first entry must be the newest of the window, by revision and hash; the entries after it are new.
        """
        if not self.is_certain or len(entries) < 2 or entries[0].revision != self.window.end:
            return False
        if entries[0].log_epoch != self.epoch or not self._tail.ends_with(entries[0]):
            return False
        fresh = entries[1:]
        try:
            encoded = [self._encoder(entry, tuple(self.window.audiences)) for entry in fresh]
        except Exception:  # the write is committed: it must not fail
            log.exception("committed entries cannot be encoded")
            return False
        _mark_ends(fresh, encoded, is_whole=True)
        self._append(fresh, encoded)
        return True

    def _append(self, entries: Sequence[LogEntry], encoded: Sequence[WindowEntry]) -> None:
        for entry in encoded:
            self.window.append(entry)
        self._tail.took(entries[-1])
        self._notify()

    def _notify(self) -> None:
        """Wake the watchers now, or at the end of the pause."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if now >= self._paused_until:
            self._paused_until = now + min(self.watchers * _PACE_SECONDS, _MAX_PACE_SECONDS)
            self.moved.notify_all()
        elif self._notify_timer is None:
            self._notify_timer = loop.call_at(self._paused_until, self._notify_late)

    def _notify_late(self) -> None:
        self._notify_timer = None
        self._notify()

    async def _load(self) -> None:
        """Replace the window by the newest entries of the log."""
        head = await self._reader.head()
        entries, max_bytes = self._bounds
        oldest = await self._reader.oldest()
        start = max(0, head.revision - _LOADED_AT_START, oldest - 1 if head.revision else 0)
        audiences = self.window.audiences
        self.epoch = head.epoch
        self.window = Window(start, max_entries=entries, max_bytes=max_bytes)
        for audience in audiences:
            self.window.serve(audience)
        self.generation += 1
        self.is_certain = True
        self._tail.reset()
        while await self._pull():
            pass
        self.moved.notify_all()

    async def _pull(self) -> bool:
        """Append one page to the window; return whether more may follow."""
        window = self.window
        after = window.end
        page = await self._tail.page(after, _PAGE)
        if not await self._is_continuation(page, after):
            await self._load()
            return True
        self.is_certain = True
        if not page.entries:
            return False
        encoded = await self._encoded(page, tuple(window.audiences))
        taken = window.end - after  # appended by ``take`` in the meantime
        if taken < len(encoded):
            self._append(page.entries[taken:], encoded[taken:])
        return page.more

    async def _is_continuation(self, page: LogPage, after: int) -> bool:
        """Whether a page continues the window, in the same history; log why not."""
        if page.epoch != self.epoch:
            log.warning("log epoch changed: every watcher resyncs log=%s", self._reader.log)
        elif not self.is_certain and not await self._tail.is_as_read():
            log.error("log history changed within an epoch: window reloaded log=%s", self._reader.log)
        elif page.entries and page.entries[0].revision != after + 1:
            first = page.entries[0].revision
            if await self._reader.oldest() >= first:
                log.warning("retention dropped unread entries log=%s after_revision=%d", self._reader.log, after)
            else:
                log.error("log has a gap log=%s revision=%d after_revision=%d", self._reader.log, first, after)
        else:
            return True
        return False

    def _lost(self) -> None:
        """Note that the connection is lost; the next one may lead to another database."""
        self.is_certain = False
        self._wake.set()

    async def _run(self) -> None:
        backoff = Backoff(0.02, POLL_SECONDS)
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._wake.wait()
            self._wake.clear()
            await asyncio.sleep(max(0.0, self._paused_until - asyncio.get_running_loop().time()))
            try:
                while await self._pull():
                    pass
                backoff.reset()
            except PartstreamError as error:
                log.warning("change log unreadable log=%s error=%s", self._reader.log, error)
                await asyncio.sleep(backoff.next())
                self._wake.set()
            except asyncio.CancelledError:
                raise
            except Exception as error:
                if translated(error) is None:
                    log.exception("change log unreadable log=%s", self._reader.log)
                else:
                    log.warning("change log unreadable log=%s error=%r", self._reader.log, error)
                await asyncio.sleep(POLL_SECONDS)


def _mark_ends(entries: Sequence[LogEntry], encoded: Sequence[WindowEntry], *, is_whole: bool) -> None:
    """Mark the entries that end a transaction; ``is_whole`` = the last one does."""
    for ready, (entry, following) in zip(encoded, pairwise(entries), strict=False):
        ready.ends_transaction = not entry.is_with(following)
    if encoded:
        encoded[-1].ends_transaction = is_whole


class BroadcastEvent:
    """Wakes all its waiters; a future and a timer for each are the cheapest way to wait with a timeout."""

    def __init__(self) -> None:
        self._waiters: dict[asyncio.Future[None], None] = {}

    async def wait(self, timeout_seconds: float) -> None:
        """Return at the next ``notify_all`` or after the timeout."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(timeout_seconds, _wake, future)
        self._waiters[future] = None
        try:
            await future
        finally:
            timer.cancel()
            self._waiters.pop(future, None)

    def notify_all(self) -> None:
        """Wake everything that waits now."""
        waiters, self._waiters = self._waiters, {}
        for future in waiters:
            _wake(future)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
