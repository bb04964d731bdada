"""One audit job, seen through: waits for the database and for the job before, drops what the trail has already."""

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
PATIENCE_SECONDS = 2.0
_LOOK_AGAIN_SECONDS = 0.05  # another process may be the one that stores it


class Recorder:
    """Brings batches into the trail, several at a time."""

    def __init__(self, store: AuditStore, stopping: asyncio.Event, state: StoreState | None = None) -> None:
        """``stopping`` ends every wait; ``state`` notes what writes meet."""
        self._store = store
        self._state = state or StoreState("audit")
        self._stopping = stopping
        self._moved = asyncio.Condition()
        self._positions: dict[str, tuple[int, float]] = {}
        self._under_way: set[tuple[str, int]] = set()
        self._complained_at: dict[str, int] = {}
        # What the last attempt to store failed of; ``None`` once one succeeds.
        self.fault: str | None = None

    async def record(self, batch: Batch) -> None:
        """Store a batch. One that stays too early is dropped: the dispatcher queues again from the position."""
        mark = (batch.service, batch.first)
        self._under_way.add(mark)
        try:
            outcome = await self._patiently(lambda: self._store_in_turn(batch))
        finally:
            self._under_way.discard(mark)
        AUDIT_JOBS.labels(batch.service, outcome).inc()
        if outcome == Outcome.STORED:
            AUDIT_ROWS.labels(batch.service).inc(len(batch.rows))
            age = datetime.now(UTC) - batch.rows[-1].occurred_at
            AUDIT_DELAY.labels(batch.service).observe(max(0.0, age.total_seconds()))

    async def record_gap(self, gap: Gap) -> None:
        """Store that entries are lost, and log which."""
        lost = await self._patiently(lambda: self._store.record_gap(gap))
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
                    self._complain(batch.service, early)
                    return "too_early"
            else:
                await self._note_position(batch.service, batch.last)
                return outcome.value

    async def _wait_for_turn(self, batch: Batch, position: int) -> bool:
        """Whether it is worth looking again."""
        if self._positions.get(batch.service, (-2, 0.0))[0] != position:
            await self._note_position(batch.service, position)
        _, moved_at = self._positions[batch.service]
        if self._stopping.is_set():
            return False
        comes_soon = any(service == batch.service and first < batch.first for service, first in self._under_way)
        if not comes_soon and time.monotonic() - moved_at > PATIENCE_SECONDS:
            return False
        async with self._moved:
            try:
                async with asyncio.timeout(_LOOK_AGAIN_SECONDS):
                    await self._moved.wait()
            except TimeoutError:
                pass
        return True

    def _complain(self, service: str, early: TooEarly) -> None:
        """Say once per standstill that jobs are missing; all that come after the missing one are early."""
        if self._complained_at.get(service) != early.position:
            self._complained_at[service] = early.position
            log.warning("%s: %s; jobs are missing and will be queued again", service, early)

    async def _note_position(self, service: str, revision: int) -> None:
        self._positions[service] = (revision, time.monotonic())
        async with self._moved:
            self._moved.notify_all()

    async def _patiently(self, action: Callable[[], Awaitable[Result]]) -> Result:
        """Do it, waiting for as long as the database takes no writes; ``Stopping`` when the process ends meanwhile."""
        backoff = Backoff(0.1, 2.0)
        while True:
            try:
                result = await action()
            except TaskError:
                raise  # of the job, not of the database
            except asyncpg.CheckViolationError:
                # No partition: retention dropped the month after this process had seen it.
                self._store.forget_months()
                raise
            except STORE_FAILURES as error:
                self.fault = type(error).__name__
                if translated(error) is None:
                    raise
                self._state.met(error)
                pause = backoff.next()
                log.debug("the audit database takes no writes, next attempt in %.1f s: %r", pause, error)
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
