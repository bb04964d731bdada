"""The in-flight window: entries read and not yet sent, and jobs sent and not yet stored."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from changelog import cursor as cursors
from chassis.background import end
from chassis.errors import PartstreamError, StoreUnavailable

if TYPE_CHECKING:
    import uuid
    from collections.abc import Callable, Sequence

    from changelog.follower import ChangeBatch, ChangeSource

MAX_ENTRIES: Final = 200  # of one job
MAX_BYTES: Final = 256 * 1024  # of one job; a single entry may be larger
_MESSAGES_AHEAD: Final = 4  # of at most 1 MiB each
_SILENCE_INTERVALS: Final = 3  # without a message for so many bookmark intervals, the connection is dead
_LIGHT_ENTRIES: Final = 1_000  # with more than these in flight, the dispatcher is catching up


class SkippedError(PartstreamError):
    """The stream skipped a revision; read it again from the position."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Entries of one job, dense and in order."""

    epoch: uuid.UUID
    entries: Sequence[Any]

    @property
    def first(self) -> int:
        """Return the revision of the first entry."""
        revision: int = self.entries[0].revision
        return revision

    @property
    def last(self) -> int:
        """Return the revision of the last entry."""
        revision: int = self.entries[-1].revision
        return revision


class EntryStream:
    """A watch cut into chunks. It reads a few messages ahead, so that a slow consumer slows the server down."""

    def __init__(
        self,
        source: ChangeSource,
        cursor: str,
        bookmark_seconds: float,
        on_message: Callable[[int], None] = lambda _newest: None,
    ) -> None:
        """Nothing is read before the first chunk is requested; ``on_message`` gets the newest revision known."""
        self._source = source
        self._cursor = cursor
        self._bookmark_seconds = bookmark_seconds
        self._on_message = on_message
        start = cursors.position_in(cursor, source.log)
        if start is None:
            problem = f"{cursor!r} holds no position of the {source.log} log"
            raise ValueError(problem)
        self._epoch = start.epoch
        self._reached = start.revision
        self._messages: asyncio.Queue[ChangeBatch | Exception] = asyncio.Queue(_MESSAGES_AHEAD)
        self._pending: deque[Any] = deque()
        self._ended: Exception | None = None
        self._reader: asyncio.Task[None] | None = None

    async def next_chunk(self, timeout_seconds: float) -> Chunk | None:
        """Return the next entries; ``None`` when none came in time. Raise what ended the stream."""
        if self._reader is None:
            self._reader = asyncio.create_task(self._read(), name=f"dispatch-{self._source.log}")
        if not self._pending and self._ended is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_seconds):
                    self._take(await self._messages.get())
        while len(self._pending) < MAX_ENTRIES and self._ended is None and not self._messages.empty():
            self._take(self._messages.get_nowait())
        if self._pending:
            return self._cut()
        if self._ended is not None:
            raise self._ended
        return None

    async def aclose(self) -> None:
        """End the watch."""
        if self._reader is not None:
            await end(self._reader)

    async def _read(self) -> None:
        try:
            stream = self._source.watch(self._cursor, self._bookmark_seconds)
            async with contextlib.aclosing(stream) as messages:
                while True:
                    async with asyncio.timeout(self._bookmark_seconds * _SILENCE_INTERVALS):
                        batch = await anext(messages)
                    last = batch.changes[-1].revision if batch.changes else 0
                    self._on_message(max(batch.newest_revision, last))
                    if batch.changes:
                        await self._messages.put(batch)
        except StopAsyncIteration:
            await self._messages.put(StoreUnavailable("the server closed the stream"))
        except Exception as error:  # noqa: BLE001 - raised by `next_chunk`
            await self._messages.put(error)

    def _take(self, message: ChangeBatch | Exception) -> None:
        if isinstance(message, Exception):
            self._ended = message  # raised once the entries before it are returned
            return
        for change in message.changes:
            if change.revision != self._reached + 1:
                self._ended = SkippedError(f"entry {change.revision} came after {self._reached}")
                return
            self._reached = change.revision
            self._pending.append(change)

    def _cut(self) -> Chunk:
        entries: list[Any] = []
        size = 0
        while self._pending and len(entries) < MAX_ENTRIES:
            size += self._pending[0].ByteSize()
            if entries and size > MAX_BYTES:
                break
            entries.append(self._pending.popleft())
        return Chunk(self._epoch, entries)


class InFlightWindow:
    """Jobs sent and not yet stored. Callers pass the time, so that tests need not wait."""

    def __init__(self) -> None:
        """Start empty."""
        self._jobs: deque[int] = deque()
        self._stored = 0
        self._moved_at = 0.0
        self._looked_at = 0.0

    @property
    def jobs(self) -> int:
        """Return the jobs in flight."""
        return len(self._jobs)

    @property
    def entries(self) -> int:
        """Return the entries in flight."""
        return self._jobs[-1] - self._stored if self._jobs else 0

    @property
    def is_light(self) -> bool:
        """Return whether the dispatcher keeps up."""
        return self.entries <= _LIGHT_ENTRIES

    def begin(self, stored: int, now: float) -> None:
        """Drop what was in flight and start again after ``stored``."""
        self._jobs.clear()
        self._stored = stored
        self._moved_at = self._looked_at = now

    def sent(self, last: int, now: float) -> None:
        """Add a job that ends with revision ``last``."""
        if not self._jobs:
            self._moved_at = now
        self._jobs.append(last)

    def stored(self, revision: int, now: float) -> bool:
        """Remove the jobs stored up to ``revision``; return whether the trail advanced."""
        self._looked_at = now
        moved = revision != self._stored
        if moved:
            self._stored = revision
            self._moved_at = now
        while self._jobs and self._jobs[0] <= revision:
            self._jobs.popleft()
        return moved

    def is_due(self, now: float, interval: float) -> bool:
        """Return whether the position of the trail is to be read."""
        return bool(self._jobs) and now - self._looked_at >= interval

    def still_for(self, now: float) -> float:
        """Return the seconds without progress while jobs are in flight."""
        return now - self._moved_at if self._jobs else 0.0

    def excuse(self, now: float) -> None:
        """Restart the stall timer: there is a known reason for it."""
        self._moved_at = now
