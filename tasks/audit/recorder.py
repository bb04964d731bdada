"""Records an audit job: waits for the database and for the previous job, and drops what is already stored."""

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

# How long a job waits for a previous one that is not in progress here, counted from the last progress of the trail.
# Jobs overtake each other by milliseconds; after a longer time the previous job is lost or waits for a retry.
MAX_WAIT_SECONDS = 2.0
_POLL_SECONDS = 0.05  # the previous job may run in another process


class Recorder:
    """Stores batches in the trail, several concurrently."""

    def __init__(self, store: AuditStore, stopping: asyncio.Event, state: StoreState | None = None) -> None:
        """``stopping`` ends every wait; ``state`` records the errors of writes."""
        self._store = store
        self._state = state or StoreState("audit")
        self._stopping = stopping
        self._moved = asyncio.Condition()
        self._positions: dict[str, tuple[int, float]] = {}
        self._in_progress: set[tuple[str, int]] = set()
        self._warned_at: dict[str, int] = {}
        # The error of the last attempt to store; ``None`` after a success.
        self.fault: str | None = None

    async def record(self, batch: Batch) -> None:
        """Store a batch. One that stays too early is dropped: the dispatcher queues it again from the position."""
        mark = (batch.service, batch.first)
        self._in_progress.add(mark)
        try:
            outcome = await self._with_retries(lambda: self._store_in_turn(batch))
        finally:
            self._in_progress.discard(mark)
        AUDIT_JOBS.labels(batch.service, outcome).inc()
        if outcome == Outcome.STORED:
            AUDIT_ROWS.labels(batch.service).inc(len(batch.rows))
            age = datetime.now(UTC) - batch.rows[-1].occurred_at
            AUDIT_DELAY.labels(batch.service).observe(max(0.0, age.total_seconds()))

    async def record_gap(self, gap: Gap) -> None:
        """Store a gap row, and log which entries are lost."""
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

    async def _store_in_turn(self, batch: Batch) -> str:
        while True:
            try:
                outcome = await self._store.record(batch)
            except StaleEpoch:
                log.warning("entries %d-%d of a past epoch of %s are dropped", batch.first, batch.last, batch.service)
                return "stale_epoch"
            except TooEarly as early:
                if not await self._wait_for_turn(batch, early.position):
                    self._warn_once(batch.service, early)
                    return "too_early"
            else:
                await self._note_position(batch.service, batch.last)
                return outcome.value

    async def _wait_for_turn(self, batch: Batch, position: int) -> bool:
        """Wait for progress of the trail; return whether to try again."""
        if self._positions.get(batch.service, (-2, 0.0))[0] != position:
            await self._note_position(batch.service, position)
        _, moved_at = self._positions[batch.service]
        if self._stopping.is_set():
            return False
        comes_soon = any(service == batch.service and first < batch.first for service, first in self._in_progress)
        if not comes_soon and time.monotonic() - moved_at > MAX_WAIT_SECONDS:
            return False
        async with self._moved:
            try:
                async with asyncio.timeout(_POLL_SECONDS):
                    await self._moved.wait()
            except TimeoutError:
                pass
        return True

    def _warn_once(self, service: str, early: TooEarly) -> None:
        """Log that jobs are missing, once per position: all jobs after the missing one are early."""
        if self._warned_at.get(service) != early.position:
            self._warned_at[service] = early.position
            log.warning("audit jobs missing, they will be queued again service=%s detail=%s", service, early)

    async def _note_position(self, service: str, revision: int) -> None:
        self._positions[service] = (revision, time.monotonic())
        async with self._moved:
            self._moved.notify_all()

    async def _with_retries(self, action: Callable[[], Awaitable[Result]]) -> Result:
        """Run an action, with retries while the database accepts no writes; raise ``Stopping`` at shutdown."""
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
