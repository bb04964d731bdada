"""Execution of an audit job: wait for the database and for the preceding job, and skip what is stored."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import asyncpg

from chassis.background import Backoff
from chassis.store_errors import STORE_FAILURES, translated
from chassis.store_state import StoreState
from tasks.audit.store import Outcome
from tasks.errors import StaleEpoch, Stopping, TaskError, TooEarly
from tasks.metrics import AUDIT_DELAY, AUDIT_JOBS, AUDIT_ROWS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tasks.audit.store import AuditStore, Batch, Gap

log = logging.getLogger(__name__)

Result = TypeVar("Result")

# How long a job waits for one before it that is not under way here, counted from the last movement of the trail. Jobs
# overtake each other by milliseconds; a longer silence means that the job before is lost or waits for another attempt.
PRECEDING_JOB_SECONDS = 2.0
_RETRY_SECONDS = 0.05  # another process may be the one that stores it


class Recorder:
    """Store batches, several at a time."""

    def __init__(self, store: AuditStore, stopping: asyncio.Event, state: StoreState | None = None) -> None:
        """``stopping`` ends every wait; ``state`` records the errors of writes."""
        self._store = store
        self._state = state or StoreState("audit")
        self._stopping = stopping
        self._moved = asyncio.Condition()
        self._positions: dict[str, tuple[int, float]] = {}
        self._running: set[tuple[str, int]] = set()
        self._reported_at: dict[str, int] = {}
        # The error of the last attempt to store; ``None`` after a success.
        self.fault: str | None = None

    async def record(self, batch: Batch) -> None:
        """Store a batch. One that stays too early is dropped: the dispatcher queues it again from the position."""
        mark = (batch.service, batch.first)
        self._running.add(mark)
        try:
            outcome = await self._with_retries(lambda: self._store_in_order(batch))
        finally:
            self._running.discard(mark)
        AUDIT_JOBS.labels(batch.service, outcome).inc()
        if outcome == Outcome.STORED:
            AUDIT_ROWS.labels(batch.service).inc(len(batch.rows))
            age = datetime.now(UTC) - batch.rows[-1].occurred_at
            AUDIT_DELAY.labels(batch.service).observe(max(0.0, age.total_seconds()))

    async def record_gap(self, gap: Gap) -> None:
        """Store that entries are lost, and log which."""
        lost = await self._with_retries(lambda: self._store.record_gap(gap))
        log.log(
            logging.INFO if lost.revisions is not None and not lost.revisions else logging.ERROR,
            "the audit trail of %s continues after revision %d of epoch %s (%s): %s",
            gap.service,
            gap.revision,
            gap.epoch,
            gap.cause,
            lost.detail or "which entries before that it lacks, if any, is not known",
        )

    async def _store_in_order(self, batch: Batch) -> str:
        while True:
            try:
                outcome = await self._store.record(batch)
            except StaleEpoch:
                log.warning("entries %d-%d of a past epoch of %s are dropped", batch.first, batch.last, batch.service)
                return "stale_epoch"
            except TooEarly as early:
                if not await self._wait_for_preceding(batch, early.position):
                    self._report(batch.service, early)
                    return "too_early"
            else:
                await self._note_position(batch.service, batch.last)
                return outcome.value

    async def _wait_for_preceding(self, batch: Batch, position: int) -> bool:
        """Return whether to try again."""
        if self._positions.get(batch.service, (-2, 0.0))[0] != position:
            await self._note_position(batch.service, position)
        _, moved_at = self._positions[batch.service]
        if self._stopping.is_set():
            return False
        comes_soon = any(service == batch.service and first < batch.first for service, first in self._running)
        if not comes_soon and time.monotonic() - moved_at > PRECEDING_JOB_SECONDS:
            return False
        async with self._moved:
            try:
                async with asyncio.timeout(_RETRY_SECONDS):
                    await self._moved.wait()
            except TimeoutError:
                pass
        return True

    def _report(self, service: str, early: TooEarly) -> None:
        """Log once per position that jobs are missing; every job after a missing one is too early."""
        if self._reported_at.get(service) != early.position:
            self._reported_at[service] = early.position
            log.warning("%s: %s; jobs are missing and will be queued again", service, early)

    async def _note_position(self, service: str, revision: int) -> None:
        self._positions[service] = (revision, time.monotonic())
        async with self._moved:
            self._moved.notify_all()

    async def _with_retries(self, action: Callable[[], Awaitable[Result]]) -> Result:
        """Run an action until the database accepts writes; raise ``Stopping`` when the process stops meanwhile."""
        backoff = Backoff(0.1, 2.0)
        while True:
            try:
                result = await action()
            except TaskError:
                raise  # of the job, not of the database
            except asyncpg.CheckViolationError:
                # No partition: retention dropped the month after this process had checked it.
                self._store.forget_months()
                raise
            except STORE_FAILURES as error:
                self.fault = type(error).__name__
                if translated(error) is None:
                    raise
                self._state.met(error)
                pause = backoff.next()
                log.debug("audit database accepts no writes retry_seconds=%.1f error=%r", pause, error)
                try:
                    async with asyncio.timeout(pause):
                        await self._stopping.wait()
                except TimeoutError:
                    continue
                raise Stopping from error
            except Exception as error:
                self.fault = type(error).__name__
                raise
            self.fault = None
            return result
