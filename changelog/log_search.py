"""Searching a log: entries of some things or of one kind, oldest first, by windows that widen while little is found."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from changelog.log_entry import FIND, entries_of
from chassis.errors import StoreUnavailable
from chassis.store_errors import CONNECTION_LOST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from changelog.log_entry import LogEntry
    from chassis.database import Database

SEARCH_SECONDS = 2.0  # then a page answers with what it has, before the caller's deadline
_FIRST_WINDOW = 4096  # revisions; whoever asks for what happens often finds a page in it
_WIDEST_WINDOW = 1 << 20
_QUICK_SECONDS = 0.3  # a window read faster than this is followed by a wider one, a slower one by a narrower one
_WIDER = 16


@dataclass(frozen=True, slots=True)
class Found:
    """Entries, how far the log was searched, and whether that was its end at the time."""

    entries: list[LogEntry]
    reached: int
    end: bool


class LogSearch:
    """Searches one log."""

    def __init__(self, database: Database) -> None:
        """Through the service's own connections."""
        self._database = database

    async def page(self, after: int, head: int, *, entity: str, ids: Sequence[str] | None, size: int) -> Found:
        """Up to ``size`` entries after a revision, of the things with these ids (``None`` = all) and of a kind.

        Fewer, and ``end`` false, when ``SEARCH_SECONDS`` were not enough to reach ``head``. A full page ends the
        search with the present window: whether more follow further on is the next page's to find out.
        """
        if ids is not None and not ids:
            return Found([], max(after, head), end=True)
        answer_by = time.monotonic() + SEARCH_SECONDS
        found: list[LogEntry] = []
        window = _FIRST_WINDOW
        while after < head and time.monotonic() < answer_by:
            began = time.monotonic()
            high = min(after + window, head)
            found += await self._find(after, high, entity, ids, size - len(found) + 1)  # one more, to see what follows
            if len(found) > size:
                return Found(found[:size], found[size - 1].revision, end=False)
            after = high
            if len(found) == size:
                break
            is_quick = time.monotonic() - began < _QUICK_SECONDS
            window = min(window * _WIDER, _WIDEST_WINDOW) if is_quick else max(window // _WIDER, _FIRST_WINDOW)
        return Found(found, after, end=after >= head)

    async def _find(self, low: int, high: int, entity: str, ids: Sequence[str] | None, most: int) -> list[LogEntry]:
        try:
            rows = await self._database.pool.fetch(FIND, low, high, entity, ids, most)
        except CONNECTION_LOST as error:
            message = "The database does not answer."
            raise StoreUnavailable(message) from error
        return entries_of(rows)
