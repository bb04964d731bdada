"""The audit dispatcher: one leader among the edge processes turns every log entry into an audit job.

Content changes become warming jobs as well. The dispatcher stores no state: it starts at the position of the audit
trail, sends what follows, and bounds the jobs in flight. When the trail stalls although no job is waiting, the jobs
were lost, and it starts again at the position. The trail ignores jobs that were not lost after all as duplicates.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from changelog import cursor as cursors
from chassis.background import Backoff, LeaderElection
from chassis.errors import CursorCompacted, CursorFromFuture, EpochChanged, PartstreamError
from chassis.store_errors import STORE_FAILURES
from edge.audit_dispatch.in_flight_window import Chunk, EntryStream, InFlightWindow
from edge.audit_dispatch.reporting import DispatchStatus, PositionReport
from edge.audit_dispatch.warming import WarmingQueue
from edge.metrics import AUDIT_BEHIND, AUDIT_JOBS_QUEUED, AUDIT_REQUEUES
from edge.upstream.follower_metrics import FOLLOWERS
from partstream.content.v1.part_service_pb2 import WatchPartsResponse
from partstream.inventory.v1.stock_service_pb2 import WatchStockResponse
from tasks.audit.queries import TrailPosition, position_of
from tasks.jobs import AUDIT_QUEUE, JobQueue, JobsUnavailable, RecordChanges, RecordGap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from changelog.follower import ChangeSource
    from edge.audit_dispatch.reporting import ReportingSource

log = logging.getLogger(__name__)

LOCK: Final = (7303, 1)  # on the audit database; the scheduler's is (7303, 2)
_RESPONSES: Final[dict[str, Any]] = {"inventory": WatchStockResponse, "content": WatchPartsResponse}

_BOOKMARK_SECONDS: Final = 5.0
_FUTURE_PAUSE_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of dispatch."""

    # Jobs sent and not yet stored, per log: 6,400 entries or 8 MiB, a third of a second of the worker's best speed.
    jobs_in_flight: int = 32
    # Jobs of earlier dispatchers that may still wait when this one starts to send.
    jobs_waiting_at_start: int = 64
    # The trail stalls for so long with no job waiting: they are lost. Doubled while that does not help.
    stall_seconds: float = 3.0
    max_stall_seconds: float = 60.0
    # How often the position is read while jobs are in flight: 0.5 ms of the audit database.
    poll_seconds: float = 0.1
    # How often the position is reported to the services; until then their logs retain what the trail has already.
    report_seconds: float = 5.0


class StalledError(Exception):
    """The trail stalls although no job is waiting."""


class Dispatcher:
    """Takes part in the leader election, and dispatches both logs while it is the leader."""

    def __init__(
        self,
        audit_dsn: str,
        audit_pool: asyncpg.Pool[asyncpg.Record],
        sources: Sequence[ReportingSource],
        jobs: JobQueue,
        limits: Limits | None = None,
    ) -> None:
        """``sources`` need the origin of changes: the token of their channel has ``changes:read``."""
        self._leadership = LeaderElection(audit_dsn, LOCK, "audit dispatcher")
        limits = limits or Limits()
        self._logs = [LogDispatch(source, audit_pool, jobs, limits) for source in sources]
        self._reports = [PositionReport(source, audit_pool, limits.report_seconds) for source in sources]

    def start(self) -> None:
        """Take part in the leader election in the background."""
        self._leadership.start(self._dispatch)

    async def stop(self) -> None:
        """Stop and release leadership. Queued jobs stay queued; the next leader starts at the position."""
        await self._leadership.stop()

    async def _dispatch(self) -> None:
        for report in self._reports:
            report.start()
        try:
            async with asyncio.TaskGroup() as group:
                for dispatch in self._logs:
                    group.create_task(dispatch.run())
        finally:
            for report in self._reports:
                await report.stop()


class LogDispatch:
    """Dispatches one log."""

    def __init__(
        self, source: ChangeSource, pool: asyncpg.Pool[asyncpg.Record], jobs: JobQueue, limits: Limits
    ) -> None:
        """Nothing runs before ``run``."""
        self._source = source
        self._log = source.log
        self._pool = pool
        self._jobs = jobs
        self._limits = limits
        self._window = InFlightWindow()
        self._stall_seconds = limits.stall_seconds
        self._warming = WarmingQueue(jobs) if source.log == "content" else None
        self._status = DispatchStatus(_BOOKMARK_SECONDS)

    async def run(self) -> None:
        """Dispatch until cancelled; after every failure start again at the position."""
        with FOLLOWERS.showing(self._log, "audit", self._status.read):
            await self._run()

    async def _run(self) -> None:
        backoff = Backoff(0.1, 5.0)
        while True:
            began = time.monotonic()
            pause = 0.0
            try:
                await self._dispatch()
            except (EpochChanged, CursorCompacted) as error:
                pause = await self._bridge(error)
            except CursorFromFuture as error:
                # The log is shorter than it was, in the same epoch: it was restored without the procedure.
                log.error("audit trail ahead of its log log=%s error=%s", self._log, error)  # noqa: TRY400
                pause = _FUTURE_PAUSE_SECONDS
            except StalledError:
                AUDIT_REQUEUES.labels(self._log).inc()
                log.warning("audit jobs lost or failed, sending again from the position log=%s", self._log)
            except (PartstreamError, JobsUnavailable, *STORE_FAILURES) as error:
                pause = backoff.next()
                log.info("dispatch paused log=%s pause_seconds=%.1f error=%r", self._log, pause, error)
            if time.monotonic() - began > self._limits.max_stall_seconds:
                backoff.reset()
            await asyncio.sleep(pause)

    async def _dispatch(self) -> None:
        await self._let_queue_drain()
        position = await position_of(self._pool, self._log)
        cursor = await self._cursor_of(position)
        stored = 0 if position is None else position.revision
        self._window.begin(stored, time.monotonic())
        self._status.opened(stored)
        stream = EntryStream(self._source, cursor, _BOOKMARK_SECONDS, self._status.record_message)
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self._status.closed)
            await stack.enter_async_context(contextlib.aclosing(stream))
            while True:
                await self._wait_for_capacity()
                chunk = await stream.next_chunk(self._limits.poll_seconds)
                if chunk is not None:
                    await self._send(chunk)

    async def _cursor_of(self, position: TrailPosition | None) -> str:
        """Return the cursor to watch from; that of the start of the log while the trail is empty."""
        if position is not None:
            return cursors.encode(cursors.Position(self._log, position.epoch, position.revision))
        now = await self._now()
        return cursors.encode(cursors.Position(self._log, now.epoch, 0))

    async def _now(self) -> cursors.Position:
        """Return the head of the log: the first message of a watch carries it."""
        async with (
            asyncio.timeout(_BOOKMARK_SECONDS),
            contextlib.aclosing(self._source.watch("", _BOOKMARK_SECONDS)) as messages,
        ):
            async for message in messages:
                return _position(message.cursor, self._log)
        raise TimeoutError

    async def _send(self, chunk: Chunk) -> None:
        response = _RESPONSES[self._log](changes=chunk.entries).SerializeToString()
        await self._jobs.record_changes(RecordChanges(self._log, chunk.epoch, chunk.first, chunk.last, response))
        AUDIT_JOBS_QUEUED.labels(self._log).inc()
        self._window.sent(chunk.last, time.monotonic())
        if self._warming is not None and self._window.is_light:
            await self._warming.offer(chunk)

    async def _wait_for_capacity(self) -> None:
        """Return when another job may be sent; raise ``StalledError`` when those in flight seem to be lost."""
        while True:
            now = time.monotonic()
            if self._window.is_due(now, self._limits.poll_seconds):
                await self._look(now)
            if self._window.jobs < self._limits.jobs_in_flight:
                return
            await asyncio.sleep(self._limits.poll_seconds)

    async def _look(self, now: float) -> None:
        """Read the position of the trail."""
        position = await position_of(self._pool, self._log)
        stored = 0 if position is None else position.revision
        moved = self._window.stored(stored, now)
        self._status.stored(stored)
        AUDIT_BEHIND.labels(self._log).set(self._window.entries)
        if moved:
            self._stall_seconds = self._limits.stall_seconds
        elif self._window.still_for(now) > self._stall_seconds:
            await self._judge_stall(now)

    async def _judge_stall(self, now: float) -> None:
        depth = await self._jobs.depth(AUDIT_QUEUE)
        if depth.delayed and await self._jobs.set_orphans_aside(AUDIT_QUEUE):
            depth = await self._jobs.depth(AUDIT_QUEUE)
        if depth.waiting + depth.delayed:
            # No worker runs, or a failed job waits for its next attempt: sending more would not help.
            self._window.excuse(now)
            return
        self._stall_seconds = min(2 * self._stall_seconds, self._limits.max_stall_seconds)
        raise StalledError

    async def _let_queue_drain(self) -> None:
        """Wait while many jobs of earlier dispatchers are waiting, so that repeated starts cannot fill Redis."""
        while (await self._jobs.depth(AUDIT_QUEUE)).waiting > self._limits.jobs_waiting_at_start:  # noqa: ASYNC110 - Redis
            await asyncio.sleep(self._limits.poll_seconds)

    async def _bridge(self, error: EpochChanged | CursorCompacted) -> float:
        """Record a gap where the log does not continue from the position; return the seconds to pause."""
        try:
            position = await position_of(self._pool, self._log)
            gap = self._gap(error, position)
            if gap is None:
                # A stream that was open when the epoch changed has no details; the next one gets them at its start.
                return 0.2
            await self._let_queue_drain()
            await self._jobs.record_gap(gap)
            self._status.gaps_recorded += 1
            await self._until_recorded(gap)
        except (JobsUnavailable, *STORE_FAILURES) as failure:
            log.info("gap cannot be recorded now log=%s error=%r", self._log, failure)
            return 1.0
        return 0.0

    def _gap(self, error: EpochChanged | CursorCompacted, position: TrailPosition | None) -> RecordGap | None:
        key = "oldest_cursor" if isinstance(error, CursorCompacted) else "epoch_start_cursor"
        found = error.metadata.get(key, "")
        if not found:
            return None
        start = _position(found, self._log)
        if isinstance(error, CursorCompacted):
            return RecordGap(self._log, start.epoch, start.revision, "the log no longer has the entries before")
        # What the trail already has of the previous epoch is not read again; the rest is still in the log.
        stored = 0 if position is None else position.revision
        cause = "the log was restored from a backup and began a new epoch"
        return RecordGap(self._log, start.epoch, min(start.revision, stored), cause)

    async def _until_recorded(self, gap: RecordGap) -> None:
        deadline = time.monotonic() + self._limits.stall_seconds
        while time.monotonic() < deadline:
            position = await position_of(self._pool, self._log)
            if position is not None and position.epoch == gap.epoch and position.revision >= gap.revision:
                return
            await asyncio.sleep(self._limits.poll_seconds)


def _position(cursor: str, name: str) -> cursors.Position:
    position = cursors.position_in(cursor, name)
    if position is None:
        problem = f"the {name} service sent a cursor of another log"
        raise ValueError(problem)
    return position
