"""The one reader of a log in a process: it fills the window and wakes the watchers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from itertools import pairwise
from typing import TYPE_CHECKING
from uuid import UUID

from chassis.changes.window import EntryEncoder, Window, WindowEntry
from chassis.errors import PartstreamError

if TYPE_CHECKING:
    from collections.abc import Callable

    from chassis.changes.log_entry import LogEntry
    from chassis.changes.log_reader import LogReader

log = logging.getLogger(__name__)

POLL_SECONDS = 0.25  # the safety net for a lost notification
_EPOCH_CHECK_SECONDS = 1.0
_PAGE = 1000
_LOADED_AT_START = 5000
_YIELD_EVERY = 100  # entries encoded between two turns of the event loop: about 3 ms


class Tailer:
    """Follows the table from where the window ends."""

    def __init__(
        self,
        reader: LogReader,
        encode: Callable[[LogEntry, str], bytes],
        keys: Callable[[LogEntry], frozenset[str]],
        *,
        max_window_bytes: int,
        max_window_entries: int,
    ) -> None:
        """Encode each entry once, with the service's own conversion."""
        self._reader = reader
        self._encoder = EntryEncoder(encode, keys)
        self._bounds = (max_window_entries, max_window_bytes)
        self.window = Window(0)
        self.epoch = UUID(int=0)
        self._epoch_checked_at = 0.0
        self._wake = asyncio.Event()
        self._moved: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load the newest entries, then tail in the background."""
        await self._load()
        self._task = asyncio.create_task(self._run(), name=f"tail-{self._reader.log}")

    async def stop(self) -> None:
        """Stop tailing."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def wake(self) -> None:
        """Read now instead of at the next poll."""
        self._wake.set()

    async def changed(self, timeout_seconds: float) -> None:
        """Return when the window moves, or after the time-out."""
        if self._moved is None or self._moved.done():
            self._moved = asyncio.get_running_loop().create_future()
        await asyncio.wait((self._moved,), timeout=timeout_seconds)

    def nudge_watchers(self) -> None:
        """Let every waiting watcher look again."""
        if self._moved is not None and not self._moved.done():
            self._moved.set_result(None)

    async def read(self, after: int, limit: int) -> list[WindowEntry]:
        """A page of the table, encoded; the last transaction of a full page is not marked as ended."""
        entries = await self._reader.page(after, limit)
        return await self._encoded(entries, complete=len(entries) < limit)

    async def _encoded(self, entries: list[LogEntry], *, complete: bool) -> list[WindowEntry]:
        encoded: list[WindowEntry] = []
        for number, entry in enumerate(entries, 1):
            encoded.append(self._encoder(entry))
            if number % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
        for this, following in pairwise(encoded):
            this.ends_transaction = this.transaction_id != following.transaction_id
        if encoded:
            encoded[-1].ends_transaction = complete
        return encoded

    async def _load(self) -> None:
        head = await self._reader.head()
        self.epoch = head.epoch
        entries, max_bytes = self._bounds
        start = max(0, head.revision - _LOADED_AT_START, await self._reader.oldest() - 1 if head.revision else 0)
        self.window = Window(start, max_entries=entries, max_bytes=max_bytes)
        while await self._pull():
            pass

    async def _pull(self, *, tailing: bool = False) -> bool:
        """Append one page to the window; whether more may be waiting."""
        window = self.window
        page = await self._reader.page(window.end, _PAGE)
        full = len(page) == _PAGE
        if not page:
            return False
        # Entries of a new epoch must not be served under cursors of the old one.
        if tailing and page[-1].epoch != self.epoch and await self._notice_new_epoch(at_once=True):
            return True
        entries = await self._encoded(page, complete=not full)
        if full:
            # Whether the last transaction of a full page goes on is known only from the entry after it.
            following = await self._reader.page(entries[-1].revision, 1)
            entries[-1].ends_transaction = not following or following[0].transaction_id != entries[-1].transaction_id
        if entries[0].revision != window.end + 1:
            log.error("the log has a gap: revision %d follows %d", entries[0].revision, window.end)
            await self._load()
            return True
        for entry in entries:
            window.append(entry)
        self.nudge_watchers()
        return full

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._wake.wait()
            self._wake.clear()
            try:
                while await self._pull(tailing=True):
                    pass
                await self._notice_new_epoch()
            except PartstreamError as error:
                log.warning("the change log cannot be read: %s", error)
                await asyncio.sleep(POLL_SECONDS)

    async def _notice_new_epoch(self, *, at_once: bool = False) -> bool:
        """Whether the epoch is another: a database restored under a running process, perhaps with fewer revisions."""
        now = time.monotonic()
        if not at_once and now < self._epoch_checked_at + _EPOCH_CHECK_SECONDS:
            return False
        self._epoch_checked_at = now
        head = await self._reader.head()
        if head.epoch == self.epoch:
            return False
        log.warning("the log has begun a new epoch; every watcher is sent to a snapshot")
        await self._load()
        self.nudge_watchers()
        return True
