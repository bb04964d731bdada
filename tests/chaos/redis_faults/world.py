"""The processes of a scenario: a log with a writer, a dispatcher, a worker, a shared cache, and one Redis."""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from changelog.follower import Follower
from chassis.database import Database
from edge.audit_dispatch.dispatcher import Dispatcher, Limits
from edge.cache import keys
from edge.cache.follow import SharedSink, read_stock_change
from edge.cache.shared import SharedCache
from tasks.alerts.redis_content import quarantine_report
from tasks.jobs import JobQueue
from tests.harness.own_redis import OwnRedis
from tests.tasks.live_log import LiveLog, WorkerProcess, live_log

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

QUICK = Limits(stall_seconds=1.0, most_stall_seconds=4.0, report_seconds=0.5)
_PAUSE_SECONDS = 0.05
_MOST_AT_ONCE = 40


@dataclass
class World:
    """Everything that a fault can affect."""

    rng: random.Random
    log: LiveLog
    audit: Database
    redis: OwnRedis
    worker: WorkerProcess
    shared: SharedCache
    follower: Follower
    moved: list[str]
    story: list[str] = field(default_factory=list)
    writing: bool = True

    async def write(self) -> None:
        """Write until ``writing`` is false."""
        number = 0
        while self.writing:
            number += 1
            await self.log.write(f"part-{number}-", self.rng.randint(1, _MOST_AT_ONCE))
            await asyncio.sleep(_PAUSE_SECONDS)


@contextlib.asynccontextmanager
async def open_world(seed: int, log_dsn: str, audit_dsn: str, folder: Path) -> AsyncIterator[World]:
    """Start everything, and stop it afterwards."""
    rng = random.Random(seed)
    own_redis = OwnRedis(folder / "redis")
    own_redis.start()
    moved: list[str] = []
    report = quarantine_report(None, "cache")

    def note(key: str, detail: str) -> None:
        moved.append(key)
        report(key, detail)

    async with contextlib.AsyncExitStack() as stack:
        stack.callback(own_redis.stop)
        log = await stack.enter_async_context(live_log(log_dsn))
        audit = await Database.open(audit_dsn, application_name="chaos")
        stack.push_async_callback(audit.close)
        worker = WorkerProcess(audit_dsn, own_redis.url, folder / "worker.log")
        worker.start()
        stack.callback(lambda: worker.kill() if worker.runs else None)
        jobs = JobQueue.open(own_redis.url)
        stack.callback(jobs.close)
        dispatcher = Dispatcher(audit_dsn, audit.pool, [log.source], jobs, QUICK)
        dispatcher.start()
        stack.push_async_callback(dispatcher.stop)
        shared = SharedCache(own_redis.url, on_quarantine=note)
        stack.push_async_callback(shared.close)
        follower = Follower(log.source, SharedSink(keys.INVENTORY, shared, read_stock_change))
        follower.start()
        stack.push_async_callback(follower.stop)
        yield World(rng, log, audit, own_redis, worker, shared, follower, moved)
