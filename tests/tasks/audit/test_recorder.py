"""A job waits a bounded time for the previous one, and for the database; an unusable job is dropped."""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from chassis.database import Database
from tasks.audit import recorder as recorder_module
from tasks.audit.queries import TrailPosition, position_of
from tasks.audit.recorder import Recorder
from tasks.audit.store import AuditStore, Batch, Gap, Outcome
from tasks.errors import Stopping
from tests.tasks.entries import EPOCH, NEXT_EPOCH, batch


@pytest.fixture
def recorder(store: AuditStore) -> Recorder:
    return Recorder(store, asyncio.Event())


async def test_a_job_that_overtook_another_waits_for_it(audit: Database, recorder: Recorder) -> None:
    await recorder.record(batch(1, 2))

    await asyncio.gather(recorder.record(batch(5, 6)), recorder.record(batch(3, 4)))

    assert await position_of(audit.pool, "inventory") == TrailPosition(EPOCH, 6)


async def test_a_job_whose_predecessor_is_lost_is_dropped(
    audit: Database, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "MAX_WAIT_SECONDS", 0.05)
    await recorder.record(batch(1, 2))

    await recorder.record(batch(5, 6))

    assert await position_of(audit.pool, "inventory") == TrailPosition(EPOCH, 2)


async def test_entries_of_a_past_epoch_are_dropped(audit: Database, recorder: Recorder) -> None:
    await recorder.record(batch(1, 2))
    await recorder.record_gap(Gap("inventory", NEXT_EPOCH, 2, "restored"))

    await recorder.record(batch(3, 4))

    assert await position_of(audit.pool, "inventory") == TrailPosition(NEXT_EPOCH, 2)


class Flaky(AuditStore):
    """The real store behind a connection that fails first."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", failures: int) -> None:
        super().__init__(pool)
        self.failures = failures
        self.on_failure: Callable[[], None] = lambda: None

    async def record(self, batch: Batch) -> Outcome:
        if self.failures:
            self.failures -= 1
            self.on_failure()
            raise asyncpg.ConnectionDoesNotExistError
        return await super().record(batch)


async def test_a_job_is_retried_until_the_database_is_available(audit: Database) -> None:
    recorder = Recorder(Flaky(audit.pool, failures=3), asyncio.Event())

    await recorder.record(batch(1, 2))

    assert await position_of(audit.pool, "inventory") == TrailPosition(EPOCH, 2)


async def test_shutdown_ends_the_wait(audit: Database) -> None:
    stopping = asyncio.Event()
    store = Flaky(audit.pool, failures=1_000_000)
    store.on_failure = stopping.set
    recording: Awaitable[None] = Recorder(store, stopping).record(batch(1, 2))

    with pytest.raises(Stopping):
        await recording
