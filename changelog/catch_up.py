"""Pages of the table for watchers that are older than the window: read a few at a time, and once for all who ask alike.

When a server starts again, everybody who followed it comes back at once, at about the same place. Pages begin at round
revisions, so that they meet.
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
_AHEAD_SECONDS = 2.0  # a page read ahead waits so long for its watcher, who may have gone


class CatchUp:
    """Reads pages, and serialises one while the database reads the next."""

    def __init__(self, tailer: Tailer) -> None:
        """Read through the tailer, which serialises."""
        self._tailer = tailer
        self._reads = asyncio.Semaphore(_READS_AT_ONCE)
        self._bytes = 0
        self._full: OrderedDict[tuple[int, int, str], tuple[list[WindowEntry], int]] = OrderedDict()
        self._ahead: tuple[tuple[int, int], asyncio.Task[LogPage]] | None = None

    async def page(self, after: int, audience: str, part_ids: Collection[str]) -> list[WindowEntry]:
        """Entries after a revision, empty only at the log's end; ``StoreUnavailable`` while the log cannot be read."""
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
        """Read nothing ahead any more."""
        if self._ahead is not None:
            self._ahead[1].cancel()

    async def _read(self, after: int, limit: int) -> LogPage:
        if self._ahead is not None and self._ahead[0] == (self._tailer.generation, after):
            _, task = self._ahead
            self._ahead = None
            return await task
        return await self._tailer.read(after, limit)

    def _read_ahead(self, after: int) -> None:
        """Have the next page read, unless one that nobody has taken yet is."""
        if self._ahead is None:
            task = asyncio.create_task(self._tailer.read(after, _PAGE), name="read-ahead")
            task.add_done_callback(_seen)
            self._ahead = ((self._tailer.generation, after), task)
            asyncio.get_running_loop().call_later(_AHEAD_SECONDS, self._forget, task)

    def _forget(self, task: asyncio.Task[LogPage]) -> None:
        if self._ahead is not None and self._ahead[1] is task:
            self._ahead = None
            task.cancel()

    def _remember(self, key: tuple[int, int, str], entries: list[WindowEntry]) -> None:
        """Entries never change, and no other will come between them."""
        if key in self._full:
            return
        size = sum([entry.size for entry in entries])
        self._full[key] = entries, size
        self._bytes += size
        while self._bytes > _REMEMBERED_BYTES:
            _, (_, left) = self._full.popitem(last=False)
            self._bytes -= left


def _seen(task: asyncio.Task[LogPage]) -> None:
    """Whoever wanted the page gets its error; when nobody does any more, it is no news."""
    if not task.cancelled():
        task.exception()
