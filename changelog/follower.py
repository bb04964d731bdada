"""Follows one service's log: connects, resumes, detects gaps and silence, and resyncs from a snapshot.

The position advances only after the sink has applied a message, so a follower that restarts repeats changes and never
skips any; sinks are idempotent.
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
STABLE_SECONDS = 10.0  # a connection that lasted so long resets the back-off
RESYNC_SPREAD_SECONDS = 2.0  # spreads the snapshots of followers that resync together


@dataclass(frozen=True, slots=True)
class ChangeBatch:
    """The changes of one message: store ``cursor`` once they are applied. No changes = a bookmark."""

    cursor: str
    changes: Sequence[Any]
    fragment: bool
    newest_revision: int = 0  # of the log, as the server knew it; 0 = unknown


class ChangeSource(Protocol):
    """One service's log, on the client side. Its methods raise ``PartstreamError``."""

    log: str

    def watch(self, cursor: str, bookmark_seconds: float) -> AsyncGenerator[ChangeBatch, None]:
        """Yield messages after a cursor; an empty cursor = from now."""

    def snapshot(self) -> AsyncGenerator[tuple[str, Sequence[Any]], None]:
        """Yield the cursor to follow from, without resources; then pages of resources with an empty cursor."""


class Sink(Protocol):
    """Where a follower applies changes."""

    async def position(self) -> str | None:
        """Return the cursor to resume from; ``""`` = from now; ``None`` = from a snapshot."""

    async def reset(self, cursor: str, pages: AsyncIterator[Sequence[Any]]) -> None:
        """Replace all state by a snapshot as of ``cursor``; a sink without state may ignore the pages."""

    async def apply(self, batch: ChangeBatch) -> None:
        """Apply a batch; idempotent."""


class _GapFoundError(Exception):
    """A revision is missing: resume from the last one applied."""


@dataclass(slots=True)
class FollowerCounts:
    """Counters of a follower since its start."""

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
        """Nothing runs before ``start``. The source must yield every entry: a missing revision is an error."""
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
        self.lag_seconds = 0.0  # from the last change's commit until it was applied, by the two clocks
        self.lag_revisions = 0  # revisions that the server had and this follower lacked, at the last message

    @property
    def log(self) -> str:
        """Return the name of the log."""
        return self._source.log

    @property
    def cursor(self) -> str:
        """Return the cursor up to which everything is applied; empty before the first message."""
        return self._cursor or ""

    @property
    def position(self) -> cursors.Position | None:
        """Return the position of the cursor, or ``None`` before the first message."""
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
        """Return once ``position`` is applied; raise ``RevisionNotYetServed`` after the timeout."""
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
                message = "The requested revision is not available in this process yet. Retry."
                raise RevisionNotYetServed(message, retry_after_seconds=0.25) from None

    async def run(self) -> None:
        """Follow permanently: every failure leads to another attempt."""
        while True:
            began = time.monotonic()
            try:
                await self._follow()
            except (CursorCompacted, EpochChanged, CursorFromFuture, CursorMalformed) as error:
                await self._resync(error)
            except _GapFoundError as error:
                self.counts.gaps += 1
                log.error("gap in the stream, resuming log=%s error=%s", self.log, error)  # noqa: TRY400
            except (PartstreamError, TimeoutError) as error:
                log.info("stream ended log=%s error=%r", self.log, error)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                if translated(error) is None:
                    log.exception("sink failed, applying the same changes again log=%s", self.log)
                else:  # the state of the database has its own log line
                    log.info("sink unavailable, applying the same changes again log=%s error=%r", self.log, error)
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
                    message = "The server closed the stream."
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
        """Return the batch without changes applied before, and its end; raise ``_GapFoundError`` for a gap."""
        end = cursors.position_in(batch.cursor, self.log)
        if end is None:
            message = f"The server sent a cursor of another log than {self.log}."
            raise CursorMalformed(message)
        here = self.position
        if here is None:
            return batch, end
        if here.epoch != end.epoch:
            message = "The log has a new epoch."
            raise EpochChanged(message)
        reached = here.revision
        if batch.changes and batch.changes[0].revision <= reached:
            fresh = [change for change in batch.changes if change.revision > reached]
            self.counts.duplicates += len(batch.changes) - len(fresh)
            batch = ChangeBatch(batch.cursor, fresh, batch.fragment, batch.newest_revision)
        for change in batch.changes:
            if change.revision != reached + 1:
                message = f"received revision {change.revision}, expected {reached + 1}"
                raise _GapFoundError(message)
            reached = change.revision
        if end.revision > reached:
            message = f"the cursor is at revision {end.revision}, the changes end at {reached}"
            raise _GapFoundError(message)
        if end.revision < reached:
            # A repeated message: the follower is ahead of it.
            batch = ChangeBatch(self.cursor, batch.changes, batch.fragment, batch.newest_revision)
            end = here
        return batch, end

    async def _resync(self, error: PartstreamError) -> None:
        level = logging.ERROR if isinstance(error, CursorMalformed | CursorFromFuture) else logging.WARNING
        log.log(level, "resync log=%s reason=%s", self.log, error.reason)
        pause = 0.0
        while True:
            await asyncio.sleep(random.uniform(pause, pause + RESYNC_SPREAD_SECONDS))  # noqa: S311 - spreads load
            try:
                await self._read_snapshot()
            except Overloaded as busy:
                # Too many snapshots are read: the server says when to retry.
                pause = busy.retry_after_seconds or 1.0
            except (PartstreamError, TimeoutError) as failure:
                log.info("snapshot failed log=%s error=%r", self.log, failure)
                return
            except Exception as failure:
                if translated(failure) is None:
                    log.exception("sink rejected the snapshot, reading another one log=%s", self.log)
                else:
                    log.info("sink unavailable, reading another snapshot log=%s error=%r", self.log, failure)
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
    """Several sinks of one follower, fed in order; the position is that of the first one."""

    def __init__(self, *sinks: Sink) -> None:
        """At least one sink."""
        self._sinks = sinks

    async def position(self) -> str | None:
        """Return the first sink's position."""
        return await self._sinks[0].position()

    async def reset(self, cursor: str, pages: AsyncIterator[Sequence[Any]]) -> None:
        """Reset every sink with the same pages; at most two pages per sink are in memory."""
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
        """Apply a batch to each sink in order."""
        for sink in self._sinks:
            await sink.apply(batch)
