"""Composition root of the worker and the scheduler: the only place that constructs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import ssl
import threading
from typing import TYPE_CHECKING

import httpx
import redis.asyncio as redis
from dramatiq import Worker

from chassis import logs
from chassis.background import BackgroundService, Backoff, LeaderElection
from chassis.database import Database
from chassis.operations import OperationsPort
from chassis.store_errors import STORE_FAILURES
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

    from tasks.settings import ProcessSettings, SchedulerSettings, WorkerSettings

log = logging.getLogger(__name__)
ready = logging.getLogger(logs.READY)

SCHEDULER_LOCK = (7303, 2)  # on the audit database; the dispatcher's is (7303, 1)

_IDLE_POLL_MS = 100  # how long an idle worker sleeps between two looks at its queues
_WORKER_STOP_MS = 3_000  # for the jobs under way, and again for the consumers
_STOP_WITHOUT_REDIS_SECONDS = 1.0
_STOP_SECONDS = 7.0  # after this the process ends whatever is still under way: jobs are repeated safely


async def run_worker(settings: WorkerSettings) -> None:
    """Work on jobs until told to stop."""
    stopping = stop_signal()
    async with contextlib.AsyncExitStack() as stack:
        dependencies = await stack.enter_async_context(operations(settings))
        database = await _database(settings, "partstream-worker", settings.threads + 1, stopping)
        if database is None:
            return
        _use(database, stack, dependencies)
        alerts = await stack.enter_async_context(_reporting("worker", settings))
        if settings.redis_url is None:
            log.warning("there is no Redis: nothing can be queued, and the audit trail waits until there is one")
            dependencies.started = True
            await stopping.wait()
            return
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
        READY.set(1)
        dependencies.started = True
        ready.info("worker ready: %d threads", settings.threads)
        await stopping.wait()
        log.info("worker stopping")
        # Without Redis nothing can be given back, and the consumers sleep between two attempts.
        await _in_thread(worker, _STOP_WITHOUT_REDIS_SECONDS if presence.is_away else _STOP_SECONDS)


async def run_scheduler(settings: SchedulerSettings) -> None:
    """Do what has to be done by the clock, in one process of many, until told to stop."""
    stopping = stop_signal()
    async with contextlib.AsyncExitStack() as stack:
        dependencies = await stack.enter_async_context(operations(settings))
        database = await _database(settings, "partstream-scheduler", 2, stopping)
        if database is None:
            return
        _use(database, stack, dependencies)
        await stack.enter_async_context(_reporting("scheduler", settings))
        if settings.redis_url is not None:
            dependencies.redis = await stack.enter_async_context(_beating(settings.redis_url, "scheduler"))
        services: list[BackgroundService] = [MonthsAhead(database.pool)]
        if settings.audit_retention_months is not None:
            services.append(Retention(database.pool, settings.audit_retention_months))
        elected = LeaderElection(settings.database_url, SCHEDULER_LOCK, "scheduler")
        elected.start(lambda: _keep_running(services))
        stack.push_async_callback(elected.stop)
        READY.set(1)
        dependencies.started = True
        ready.info("scheduler ready: %s", ", ".join(service.name for service in services))
        await stopping.wait()
        log.info("scheduler stopping")


def _use(database: Database, stack: contextlib.AsyncExitStack, dependencies: Dependencies) -> None:
    """Show the database in the health of the process until the stack is left, then close it."""
    stack.push_async_callback(database.close)
    dependencies.database = database
    probe = StoreProbe(database)
    probe.start()
    stack.push_async_callback(probe.stop)


@contextlib.asynccontextmanager
async def operations(settings: ProcessSettings) -> AsyncIterator[Dependencies]:
    """Serve the operations port, with the health of the dependencies that are added to what is yielded."""
    dependencies = Dependencies()
    served = OperationsPort(settings.operations_host, settings.operations_port, dependencies.health)
    served.start()
    try:
        yield dependencies
    finally:
        await served.stop()


def stop_signal() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping


async def _database(settings: ProcessSettings, name: str, connections: int, stopping: asyncio.Event) -> Database | None:
    """Connect, however long it takes; ``None`` when told to stop before."""
    backoff = Backoff(0.2, 5.0)
    while not stopping.is_set():
        try:
            return await Database.open(settings.database_url, application_name=name, max_size=connections)
        except STORE_FAILURES as error:
            pause = backoff.next()
            log.warning("the audit database cannot be reached, next attempt in %.1f s: %r", pause, error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await stopping.wait()
    return None


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


async def _in_thread(worker: Worker, seconds: float) -> None:
    """Stop a worker without blocking the loop its jobs need. With Redis away it cannot finish, and is left behind."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()

    def stop() -> None:
        try:
            worker.stop(timeout=_WORKER_STOP_MS)
        except Exception as error:  # noqa: BLE001 - Redis is away; its messages are handed on by their heartbeat
            log.warning("jobs could not be given back: %r", error)
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(stopped.set)

    threading.Thread(target=stop, name="stop-worker", daemon=True).start()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stopped.wait()
