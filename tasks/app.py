"""Composition root of the worker and the scheduler: the only place that constructs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import redis.asyncio as redis
from dramatiq import Worker

from chassis import logs
from chassis.background import BackgroundService, LeaderElection
from chassis.database import Database
from chassis.process import serve_until_stopped, start_with_retry
from chassis.store_probe import StoreProbe
from tasks.actors import Actors, CountFailures
from tasks.alerts.reporter import Alerts
from tasks.audit.recorder import Recorder
from tasks.audit.store import AuditStore
from tasks.audit.upkeep import MonthsAhead, Retention
from tasks.broker import open_broker
from tasks.dependencies import Dependencies
from tasks.heartbeat import Heartbeat
from tasks.metrics import READY
from tasks.redis_presence import RedisPresence
from tasks.warming.pages import PageWarmer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chassis.operations import HealthDetails
    from tasks.settings import ProcessSettings, SchedulerSettings, WorkerSettings

log = logging.getLogger(__name__)

SCHEDULER_LOCK = (7303, 2)  # on the audit database; the dispatcher's is (7303, 1)

_IDLE_POLL_MS = 100  # how often an idle worker polls its queues
_WORKER_STOP_MS = 3_000  # for the jobs in progress, and again for the consumers
_STOP_WITHOUT_REDIS_SECONDS = 1.0
_STOP_SECONDS = 7.0  # after this the process ends with jobs in progress: they are repeated safely


async def run_worker(settings: WorkerSettings) -> int:
    """Work on jobs until SIGTERM or SIGINT; return the exit code."""
    return await serve_until_stopped("worker", settings, lambda: _start_worker(settings))


async def run_scheduler(settings: SchedulerSettings) -> int:
    """Run the periodic services, as the leader of all schedulers, until SIGTERM or SIGINT; return the exit code."""
    return await serve_until_stopped("scheduler", settings, lambda: _start_scheduler(settings))


@dataclass(frozen=True, slots=True)
class _RunningProcess:
    dependencies: Dependencies
    stopping: asyncio.Event
    resources: contextlib.AsyncExitStack

    async def health(self) -> HealthDetails:
        """Return the state of the dependencies."""
        return await self.dependencies.health()

    async def stop(self) -> None:
        """End all waits, then close all resources."""
        self.stopping.set()
        await self.resources.aclose()


async def _start_worker(settings: WorkerSettings) -> _RunningProcess:
    dependencies, stopping = Dependencies(), asyncio.Event()
    async with contextlib.AsyncExitStack() as stack:
        database = await _open(settings, "partstream-worker", settings.threads + 1)
        _use(database, stack, dependencies)
        alerts = await stack.enter_async_context(_reporting("worker", settings))
        if settings.redis_url is None:
            log.warning("Redis is not configured: no job can be queued, and the audit trail does not advance")
            return _RunningProcess(dependencies, stopping, stack.pop_all())
        trusted = ssl.create_default_context(cafile=settings.edge_authority)
        client = await stack.enter_async_context(httpx.AsyncClient(verify=trusted))
        recorder = Recorder(AuditStore(database.pool), stopping, database.state)
        dependencies.recorder = recorder
        broker = open_broker(settings.redis_url, middleware=[CountFailures()], alerts=alerts)
        warmer = PageWarmer(client, settings.edge_urls)
        stack.push_async_callback(warmer.stop)
        Actors(asyncio.get_running_loop(), recorder, warmer).declare(broker)
        presence = await stack.enter_async_context(_beating(settings.redis_url, "worker"))
        dependencies.redis = presence
        worker = Worker(broker, worker_threads=settings.threads, worker_timeout=_IDLE_POLL_MS)
        worker.start()
        stack.push_async_callback(_stop_worker, worker, presence)
        READY.set(1)
        return _RunningProcess(dependencies, stopping, stack.pop_all())


async def _start_scheduler(settings: SchedulerSettings) -> _RunningProcess:
    dependencies = Dependencies()
    async with contextlib.AsyncExitStack() as stack:
        database = await _open(settings, "partstream-scheduler", 2)
        _use(database, stack, dependencies)
        await stack.enter_async_context(_reporting("scheduler", settings))
        if settings.redis_url is not None:
            dependencies.redis = await stack.enter_async_context(_beating(settings.redis_url, "scheduler"))
        services: list[BackgroundService] = [MonthsAhead(database.pool)]
        if settings.audit_retention_months is not None:
            services.append(Retention(database.pool, settings.audit_retention_months))
        election = LeaderElection(settings.database_url, SCHEDULER_LOCK, "scheduler")
        election.start(lambda: _keep_running(services))
        stack.push_async_callback(election.stop)
        READY.set(1)
        return _RunningProcess(dependencies, asyncio.Event(), stack.pop_all())


def _use(database: Database, stack: contextlib.AsyncExitStack, dependencies: Dependencies) -> None:
    """Show the database in the health of the process until the stack is left, then close it."""
    stack.push_async_callback(database.close)
    dependencies.database = database
    probe = StoreProbe(database)
    probe.start()
    stack.push_async_callback(probe.stop)


async def _open(settings: ProcessSettings, name: str, connections: int) -> Database:
    return await start_with_retry(
        lambda: Database.open(settings.database_url, application_name=name, max_size=connections)
    )


@contextlib.asynccontextmanager
async def _reporting(role: str, settings: ProcessSettings) -> AsyncIterator[Alerts]:
    alerts = Alerts(role, settings.alert_database_url)
    alerts.start()
    try:
        yield alerts
    finally:
        await alerts.stop()


@contextlib.asynccontextmanager
async def _beating(redis_url: str, role: str) -> AsyncIterator[RedisPresence]:
    client = redis.Redis.from_url(redis_url, socket_timeout=2, socket_connect_timeout=2)
    presence = RedisPresence()
    heartbeat = Heartbeat(client, role, presence)
    heartbeat.start()
    try:
        with logs.filtered(presence.quiet()):
            yield presence
    finally:
        with contextlib.suppress(redis.RedisError, OSError):
            await heartbeat.stop()
        await client.aclose()


async def _keep_running(services: list[BackgroundService]) -> None:
    for service in services:
        service.start()
    try:
        await asyncio.Event().wait()
    finally:
        for service in services:
            await service.stop()


async def _stop_worker(worker: Worker, presence: RedisPresence) -> None:
    """Stop a worker in a thread, because its jobs need the event loop; abandon it at the timeout."""
    # Without Redis no message can be returned, and the consumers sleep between two attempts.
    seconds = _STOP_WITHOUT_REDIS_SECONDS if presence.is_unavailable else _STOP_SECONDS
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()

    def stop() -> None:
        try:
            worker.stop(timeout=_WORKER_STOP_MS)
        except Exception as error:  # noqa: BLE001 - without Redis: others fetch them when its heartbeat expires
            log.warning("jobs not returned to the queue error=%r", error)
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(stopped.set)

    threading.Thread(target=stop, name="stop-worker", daemon=True).start()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stopped.wait()
