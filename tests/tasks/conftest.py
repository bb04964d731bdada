"""Fixtures of background work: the audit database open, a real log, a real worker."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from chassis.database import Database
from tasks.audit.store import AuditStore
from tasks.jobs import JobQueue
from tests.harness.own_redis import OwnRedis
from tests.tasks.live_log import LiveLog, WorkerProcess, live_log


@pytest.fixture
async def audit(audit_dsn: str) -> AsyncIterator[Database]:
    """A fresh, migrated audit database."""
    database = await Database.open(audit_dsn, application_name="test")
    yield database
    await database.close()


@pytest.fixture
def store(audit: Database) -> AuditStore:
    return AuditStore(audit.pool)


@pytest.fixture
async def log(empty_dsn: str) -> AsyncIterator[LiveLog]:
    """A log with a feed."""
    async with live_log(empty_dsn) as opened:
        yield opened


@pytest.fixture
def worker(audit_dsn: str, own_redis: OwnRedis, tmp_path: Path) -> Iterator[WorkerProcess]:
    """A worker that is not started yet, on a Redis of its own."""
    process = WorkerProcess(audit_dsn, own_redis.url, tmp_path / "worker.log")
    yield process
    if process.runs:
        process.kill()


@pytest.fixture
def jobs(own_redis: OwnRedis) -> Iterator[JobQueue]:
    queue = JobQueue.open(own_redis.url)
    yield queue
    queue.close()
