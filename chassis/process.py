"""The life of every process: start, retried while the database is unavailable; ready; graceful stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import resource
from typing import TYPE_CHECKING, Protocol, TypeVar

from chassis import logs, telemetry
from chassis.addresses import PortTaken
from chassis.background import Backoff
from chassis.errors import StoreUnavailable
from chassis.operations import CheckResult, HealthDetails, OperationsPort, summarised
from chassis.retry import retry
from chassis.server import until_stopped
from chassis.store_errors import STORE_FAILURES, translated

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

T = TypeVar("T")


class ProcessSettings(Protocol):
    """What every process reads from its environment."""

    @property
    def log_format(self) -> str:
        """``text`` or ``json``."""

    @property
    def log_level(self) -> str:
        """The least level that is logged."""

    @property
    def otel_exporter(self) -> str:
        """Where traces go."""

    @property
    def operations_host(self) -> str:
        """The address of the operations port."""

    @property
    def operations_port(self) -> int | None:
        """The operations port; ``None`` for none."""


class App(Protocol):
    """A composition root that is running."""

    async def health(self) -> HealthDetails:
        """Return what its dependencies are like now."""

    async def stop(self) -> None:
        """Drain and close."""


AppT = TypeVar("AppT", bound=App)


async def start_with_retry(start_once: Callable[[], Awaitable[T]]) -> T:
    """Return what ``start_once`` returns, repeated while the database is unavailable."""

    def report(error: Exception, pause: float) -> None:
        if not isinstance(error, StoreUnavailable) and translated(error) is None:
            raise error
        log.warning("database unavailable retry_in_seconds=%.1f error=%r", pause, error)

    return await retry(start_once, (*STORE_FAILURES, StoreUnavailable), Backoff(0.2, 5.0), report)


async def serve_until_stopped(
    process: str,
    settings: ProcessSettings,
    start: Callable[[], Awaitable[AppT]],
    *,
    listener: Callable[[AppT], asyncio.Task[None]] | None = None,
    address: str = "",
) -> int:
    """Configure logs and traces, start the app, and run it until SIGTERM or SIGINT; return the exit code.

    The operations port is open from the beginning; a signal also ends the start. ``listener`` is a task of the app that
    must not end by itself. ``address`` is logged once the app is ready.
    """
    logs.configure(process, format=settings.log_format, level=settings.log_level)
    telemetry.configure(process, settings.otel_exporter)
    allow_open_files()
    stopped = asyncio.create_task(until_stopped())
    starting = asyncio.ensure_future(start())
    operations = OperationsPort(settings.operations_host, settings.operations_port, lambda: _health(starting))
    try:
        operations.start()
        await asyncio.wait((stopped, starting), return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            app = starting.result()
            freeze_gc()
            logging.getLogger(logs.READY).info("%s ready%s", process, address and f" on {address}")
            await _until_stopped(process, app, stopped, listener(app) if listener else None)
    except PortTaken as error:
        log.error("%s cannot start: %s", process, error)  # noqa: TRY400 - the message is complete
        return 1
    finally:
        stopped.cancel()
        starting.cancel()
        await operations.stop()
        telemetry.shutdown()
    return 0


async def _until_stopped(
    process: str, app: App, stopped: asyncio.Task[None], listener: asyncio.Task[None] | None
) -> None:
    try:
        await asyncio.wait([task for task in (stopped, listener) if task], return_when=asyncio.FIRST_COMPLETED)
        if listener is not None and listener.done():
            listener.result()
            message = "The listener ended by itself."
            raise RuntimeError(message)
        log.info("%s stopping", process)
    finally:
        await app.stop()


async def _health(starting: asyncio.Future[AppT]) -> HealthDetails:
    if not starting.done():
        return summarised({"process": CheckResult("down", detail="starting")})
    return await starting.result().health()


def freeze_gc() -> None:
    """Move the start-up objects to the permanent generation, and collect less often.

    Scanning them took 4 % of a busy process. Ten thousand connections are a million objects: a full collection blocks
    the event loop and hardly ever frees anything.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def allow_open_files() -> None:
    """Raise the limit of open files to the hard limit: shells set 1,024, and every connection is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # macOS grants less than the hard limit
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
