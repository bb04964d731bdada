"""Pages of the table for unsynced watchers, those older than the window: a few reads at a time, shared by watchers.

After a restart every watcher reconnects at once, at about the same position. Pages begin at round revisions, so that
watchers share them.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from changelog.log_entry import LogPage
    from changelog.tailer import Tailer
    from changelog.window import WindowEntry

_PAGE = 1000
_READS_AT_ONCE = 3  # each holds a connection of the pool while it reads a page; one more is read ahead
_REMEMBERED_BYTES = 16 * 1024**2  # a page of stock changes is about 1 MB
_AHEAD_SECONDS = 2.0  # how long a page read ahead waits for its watcher, which may have disconnected


class CatchUp:
    """Reads pages, and encodes one while the database reads the next."""

    def __init__(self, tailer: Tailer) -> None:
        """Read through the tailer, which encodes."""
        self._tailer = tailer
        self._reads = asyncio.Semaphore(_READS_AT_ONCE)
        self._bytes = 0
        self._full: OrderedDict[tuple[int, int, str], tuple[list[WindowEntry], int]] = OrderedDict()
        self._ahead: tuple[tuple[int, int], asyncio.Task[LogPage]] | None = None

    async def page(self, after: int, audience: str, part_ids: Collection[str]) -> list[WindowEntry]:
        """Return the entries after a revision, none only at the log's end."""
        key = (self._tailer.generation, after, audience)
        async with self._reads:
            known = None if part_ids else self._full.get(key)
            if known is not None:
                self._full.move_to_end(key)
                return known[0]
            limit = _PAGE - after % _PAGE
            page = await self._read(after, limit)
            if page.more:
                self._read_ahead(after + limit)
            entries = await self._tailer.serialised(page, audience, part_ids)
        if len(entries) == limit and not part_ids:
            self._remember(key, entries)
        return entries

    def stop(self) -> None:
        """Cancel the page that is read ahead."""
        if self._ahead is not None:
            self._ahead[1].cancel()

    async def _read(self, after: int, limit: int) -> LogPage:
        if self._ahead is not None and self._ahead[0] == (self._tailer.generation, after):
            _, task = self._ahead
            self._ahead = None
            return await task
        return await self._tailer.read(after, limit)

    def _read_ahead(self, after: int) -> None:
        """Read the next page in the background, unless another one is still unused."""
        if self._ahead is None:
            task = asyncio.create_task(self._tailer.read(after, _PAGE), name="read-ahead")
            task.add_done_callback(_retrieve_exception)
            self._ahead = ((self._tailer.generation, after), task)
            asyncio.get_running_loop().call_later(_AHEAD_SECONDS, self._forget, task)

    def _forget(self, task: asyncio.Task[LogPage]) -> None:
        if self._ahead is not None and self._ahead[1] is task:
            self._ahead = None
            task.cancel()

    def _remember(self, key: tuple[int, int, str], entries: list[WindowEntry]) -> None:
        """Store a full page: its entries never change."""
        if key in self._full:
            return
        size = sum([entry.size for entry in entries])
        self._full[key] = entries, size
        self._bytes += size
        while self._bytes > _REMEMBERED_BYTES:
            _, (_, left) = self._full.popitem(last=False)
            self._bytes -= left


def _retrieve_exception(task: asyncio.Task[LogPage]) -> None:
    """Mark the exception as retrieved: a page that no watcher awaits any more is not logged."""
    if not task.cancelled():
        task.exception()
