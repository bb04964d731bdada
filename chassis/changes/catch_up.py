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
    from uuid import UUID

    from chassis.changes.tailer import Tailer
    from chassis.changes.window import WindowEntry

_PAGE = 1000
_READS_AT_ONCE = 4  # each holds a connection of the pool while it reads a page
_REMEMBERED_BYTES = 16 * 1024**2  # a page of stock changes is about 1 MB


class CatchUp:
    """Reads pages."""

    def __init__(self, tailer: Tailer) -> None:
        """Read through the tailer, which serialises."""
        self._tailer = tailer
        self._reads = asyncio.Semaphore(_READS_AT_ONCE)
        self._bytes = 0
        self._full: OrderedDict[tuple[UUID, int, str], list[WindowEntry]] = OrderedDict()

    async def page(self, after: int, audience: str, part_ids: Collection[str]) -> list[WindowEntry]:
        """Entries after a revision, empty only at the log's end; ``StoreUnavailable`` while the log cannot be read."""
        key = (self._tailer.epoch, after, audience)
        async with self._reads:
            known = None if part_ids else self._full.get(key)
            if known is not None:
                self._full.move_to_end(key)
                return known
            limit = _PAGE - after % _PAGE
            entries = await self._tailer.read(after, limit, audience, part_ids)
        if len(entries) == limit and not part_ids:
            self._remember(key, entries)
        return entries

    def _remember(self, key: tuple[UUID, int, str], entries: list[WindowEntry]) -> None:
        """Entries never change, and no other will come between them."""
        if key in self._full:
            return
        self._full[key] = entries
        self._bytes += _size(entries)
        while self._bytes > _REMEMBERED_BYTES:
            _, left = self._full.popitem(last=False)
            self._bytes -= _size(left)


def _size(entries: list[WindowEntry]) -> int:
    return sum(entry.size for entry in entries)
