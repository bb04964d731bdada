"""Pages of both logs for clients that are further behind than this process remembers."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from changelog.cursor import encode
from chassis.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from changelog.cursor import Position
    from changelog.follower import ChangeBatch, ChangeSource

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
