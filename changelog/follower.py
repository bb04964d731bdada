"""Following one service's log: connect, resume, notice gaps and silence, and begin anew from a snapshot when told to.

The position advances only after the sink has applied a message, so a follower that dies repeats and never skips; sinks
are idempotent.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from changelog import cursor as cursors
from chassis import telemetry
from chassis.background import Backoff, end
from chassis.errors import (
    CursorCompacted,
    CursorFromFuture,
    CursorMalformed,
    EpochChanged,
    Overloaded,
    PartstreamError,
    RevisionNotYetServed,
    StoreUnavailable,
)
from chassis.store_errors import translated

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence

log = logging.getLogger(__name__)

BOOKMARK_SECONDS = 5.0
SNAPSHOT_SILENCE_SECONDS = 30.0  # between two pages of a snapshot
SILENCE_INTERVALS = 3  # no message for so many bookmark intervals means that the connection is dead
STABLE_SECONDS = 10.0  # a connection that lasted so long makes the next failure the first one again
RESYNC_SPREAD_SECONDS = 2.0  # followers sent to a snapshot together do not all ask in the same moment


@dataclass(frozen=True, slots=True)
class ChangeBatch:
    """What one message brought: store ``cursor`` once the changes are applied. No changes = a bookmark."""

    cursor: str
    changes: Sequence[Any]
    fragment: bool
    newest_revision: int = 0  # of the log, as the server knew it; 0 = not told


class ChangeSource(Protocol):
    """One service's log, as a client sees it. Errors are raised as ``PartstreamError``."""

    log: str

    def watch(self, cursor: str, bookmark_seconds: float) -> AsyncGenerator[ChangeBatch, None]:
        """Messages after a cursor; empty = from now."""

    def snapshot(self) -> AsyncGenerator[tuple[str, Sequence[Any]], None]:
        """First the cursor to follow from, with nothing; then pages of resources with an empty cursor."""


class Sink(Protocol):
    """What a follower feeds."""

    async def position(self) -> str | None:
        """Cursor to resume from; ``""`` = from now on; ``None`` = a snapshot is needed."""

    async def reset(self, cursor: str, pages: AsyncIterator[Sequence[Any]]) -> None:
        """Replace all state by a snapshot as of ``cursor``; a sink without state need not read the pages."""

    async def apply(self, batch: ChangeBatch) -> None:
        """Apply a batch; twice must be as once."""


class _GapFoundError(Exception):
    """Something was skipped: resume from the last revision applied."""


@dataclass(slots=True)
class FollowerCounts:
    """What a follower has met since it began."""

    changes: int = 0
    duplicates: int = 0
    gaps: int = 0
    reconnects: int = 0
    resyncs: int = 0


class Follower:
    """Follows one log into one sink."""

    def __init__(
        self,
        source: ChangeSource,
        sink: Sink,
        *,
        bookmark_seconds: float = BOOKMARK_SECONDS,
        backoff: Backoff | None = None,
    ) -> None:
        """Nothing runs before ``start``. The source must bring every entry: a revision that is missing is a fault."""
        self._source = source
        self._sink = sink
        self.bookmark_seconds = bookmark_seconds
        self._backoff = backoff or Backoff()
        self._cursor: str | None = None
        self._moved = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.counts = FollowerCounts()
        self.connected = False
        self.disconnected = asyncio.Event()
        self.last_message_at = 0.0
        self.lag_seconds = 0.0  # from the last change's commit until it was applied here, by the two clocks
        self.lag_revisions = 0  # revisions that the server had and this follower had not, at its last message

    @property
    def log(self) -> str:
        """The log's name."""
        return self._source.log

    @property
    def cursor(self) -> str:
        """Everything up to here has been applied; empty before the first message."""
        return self._cursor or ""

    @property
    def position(self) -> cursors.Position | None:
        """The cursor's place in the log, or ``None`` before the first message."""
        return cursors.position_in(self.cursor, self.log)

    def start(self) -> None:
        """Follow in the background."""
        self._task = asyncio.create_task(self.run(), name=f"follow-{self.log}")

    async def stop(self) -> None:
        """Stop following."""
        if self._task is not None:
            await end(self._task)
            self._task = None

    async def reached(self, position: cursors.Position, timeout_seconds: float) -> None:
        """Return once ``position`` has been applied; ``RevisionNotYetServed`` after the time-out."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            here = self.position
            if here is not None and here.epoch == position.epoch and here.revision >= position.revision:
                return
            self._moved.clear()
            left = deadline - time.monotonic()
            try:
                async with asyncio.timeout(max(left, 0)):
                    await self._moved.wait()
            except TimeoutError:
                message = "This process has not yet seen the revision asked for."
                raise RevisionNotYetServed(message, retry_after_seconds=0.25) from None

    async def run(self) -> None:
        """Follow for ever; every failure leads to another attempt."""
        while True:
            began = time.monotonic()
            try:
                await self._follow()
            except (CursorCompacted, EpochChanged, CursorFromFuture, CursorMalformed) as error:
                await self._resync(error)
            except _GapFoundError as error:
                self.counts.gaps += 1
                log.error("%s: %s: resuming from the last revision applied", self.log, error)  # noqa: TRY400
            except (PartstreamError, TimeoutError) as error:
                log.info("%s: the stream ended: %s", self.log, repr(error))
            except asyncio.CancelledError:
                raise
            except Exception as error:
                if translated(error) is None:
                    log.exception("%s: the sink failed; the same changes are applied again", self.log)
                else:  # the database's own state has a line of its own
                    log.info("%s: the sink takes no changes: %r; the same are applied again", self.log, error)
            finally:
                self.connected = False
                self.disconnected.set()
            self.counts.reconnects += 1
            if time.monotonic() - began >= STABLE_SECONDS:
                self._backoff.reset()
            await asyncio.sleep(self._backoff.next())

    async def _follow(self) -> None:
        if self._cursor is None:
            self._cursor = await self._sink.position()
        if self._cursor is None:
            await self._read_snapshot()
        silence = self.bookmark_seconds * SILENCE_INTERVALS
        stream = self._source.watch(self._cursor or "", self.bookmark_seconds)
        async with contextlib.aclosing(stream) as messages:
            while True:
                try:
                    async with asyncio.timeout(silence):
                        batch = await anext(messages)
                except StopAsyncIteration:
                    message = "the server closed the stream"
                    raise StoreUnavailable(message) from None
                self.connected = True
                self.disconnected.clear()
                self.last_message_at = time.monotonic()
                await self._take(batch)

    async def _take(self, batch: ChangeBatch) -> None:
        fresh, position = self._fresh(batch)
        if fresh.changes or not batch.changes:
            with telemetry.following(f"follow {self.log}", [change.traceparent for change in fresh.changes]):
                await self._sink.apply(fresh)
        if fresh.changes:
            self.counts.changes += len(fresh.changes)
            self.lag_seconds = max(0.0, time.time() - fresh.changes[-1].commit_time.ToMicroseconds() / 1e6)
        self.lag_revisions = max(0, batch.newest_revision - position.revision)
        self._cursor = fresh.cursor
        self._moved.set()

    def _fresh(self, batch: ChangeBatch) -> tuple[ChangeBatch, cursors.Position]:
        """The batch without what was applied before, and where it ends. Whatever was skipped raises."""
        end = cursors.position_in(batch.cursor, self.log)
        if end is None:
            message = f"the server sent a cursor of another log than {self.log}"
            raise CursorMalformed(message)
        here = self.position
        if here is None:
            return batch, end
        if here.epoch != end.epoch:
            message = "The log has begun a new epoch."
            raise EpochChanged(message)
        reached = here.revision
        if batch.changes and batch.changes[0].revision <= reached:
            fresh = [change for change in batch.changes if change.revision > reached]
            self.counts.duplicates += len(batch.changes) - len(fresh)
            batch = ChangeBatch(batch.cursor, fresh, batch.fragment, batch.newest_revision)
        for change in batch.changes:
            if change.revision != reached + 1:
                message = f"revision {change.revision} came where {reached + 1} was due"
                raise _GapFoundError(message)
            reached = change.revision
        if end.revision > reached:
            message = f"the cursor says {end.revision}, but changes came only up to {reached}"
            raise _GapFoundError(message)
        if end.revision < reached:
            # An old message again: where this follower is, is further on.
            batch = ChangeBatch(self.cursor, batch.changes, batch.fragment, batch.newest_revision)
            end = here
        return batch, end

    async def _resync(self, error: PartstreamError) -> None:
        level = logging.ERROR if isinstance(error, CursorMalformed | CursorFromFuture) else logging.WARNING
        log.log(level, "%s: %s: a snapshot is read instead", self.log, error.reason)
        pause = 0.0
        while True:
            await asyncio.sleep(random.uniform(pause, pause + RESYNC_SPREAD_SECONDS))  # noqa: S311 - spreads load
            try:
                await self._read_snapshot()
            except Overloaded as busy:
                # Others are reading theirs: the server says when to come again.
                pause = busy.retry_after_seconds or 1.0
            except (PartstreamError, TimeoutError) as failure:
                log.info("%s: no snapshot: %r", self.log, failure)
                return
            except Exception as failure:
                if translated(failure) is None:
                    log.exception("%s: the sink could not take a snapshot; another one is read", self.log)
                else:
                    log.info("%s: the sink takes no snapshot: %r; another one is read", self.log, failure)
                return
            else:
                return

    async def _read_snapshot(self) -> None:
        self.counts.resyncs += 1
        async with contextlib.aclosing(self._source.snapshot()) as messages:
            cursor, _ = await _within(SNAPSHOT_SILENCE_SECONDS, messages)
            await self._sink.reset(cursor, _pages(messages))
        self._cursor = cursor
        self._moved.set()


async def _within(seconds: float, messages: AsyncGenerator[tuple[str, Sequence[Any]], None]) -> Any:
    async with asyncio.timeout(seconds):
        return await anext(messages)


async def _pages(messages: AsyncGenerator[tuple[str, Sequence[Any]], None]) -> AsyncIterator[Sequence[Any]]:
    while True:
        try:
            _, page = await _within(SNAPSHOT_SILENCE_SECONDS, messages)
        except StopAsyncIteration:
            return
        yield page


class FanOut:
    """Several sinks behind one follower, fed in order; the first one's position counts."""

    def __init__(self, *sinks: Sink) -> None:
        """At least one sink."""
        self._sinks = sinks

    async def position(self) -> str | None:
        """The first sink's position."""
        return await self._sinks[0].position()

    async def reset(self, cursor: str, pages: AsyncIterator[Sequence[Any]]) -> None:
        """Hand the same pages to every sink; memory holds two pages per sink at most."""
        queues: list[asyncio.Queue[Sequence[Any] | None]] = [asyncio.Queue(1) for _ in self._sinks]

        async def read(queue: asyncio.Queue[Sequence[Any] | None]) -> AsyncIterator[Sequence[Any]]:
            while (page := await queue.get()) is not None:
                yield page

        async def drained(sink: Sink, queue: asyncio.Queue[Sequence[Any] | None]) -> None:
            rest = read(queue)
            await sink.reset(cursor, rest)
            async for _ in rest:
                pass

        async with asyncio.TaskGroup() as group:
            for sink, queue in zip(self._sinks, queues, strict=True):
                group.create_task(drained(sink, queue))
            async for page in pages:
                for queue in queues:
                    await queue.put(page)
            for queue in queues:
                await queue.put(None)

    async def apply(self, batch: ChangeBatch) -> None:
        """Feed each sink in order."""
        for sink in self._sinks:
            await sink.apply(batch)
