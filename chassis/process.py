"""How a service runs as a process: patient at the start, ready when it says so, drained at the end."""

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
from chassis.server import until_stopped
from chassis.store_errors import STORE_FAILURES, translated

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)


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


async def start_with_retry(start_once: Callable[[], Awaitable[AppT]]) -> AppT:
    """The app that ``start_once`` makes; while the database is away it is tried again and again."""
    backoff = Backoff(0.2, 5.0)
    while True:
        try:
            return await start_once()
        except (*STORE_FAILURES, StoreUnavailable) as error:
            if not isinstance(error, StoreUnavailable) and translated(error) is None:
                raise
            pause = backoff.next()
            log.warning("the database cannot be reached, next attempt in %.1f s: %r", pause, error)
            await asyncio.sleep(pause)


async def serve_until_stopped(process: str, settings: ProcessSettings, start_once: Callable[[], Awaitable[App]]) -> int:
    """Run until SIGTERM or SIGINT; answers the exit code."""
    logs.configure(process, format=settings.log_format, level=settings.log_level)
    telemetry.configure(process, settings.otel_exporter)
    stopped = asyncio.create_task(until_stopped())
    starting = asyncio.create_task(start_with_retry(start_once))
    operations = OperationsPort(settings.operations_host, settings.operations_port, lambda: _health(starting))
    try:
        operations.start()
        await asyncio.wait((stopped, starting), return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            return 0
        app = starting.result()
        freeze_gc()
        logging.getLogger(logs.READY).info("%s is ready", process)
        await stopped
        await app.stop()
        telemetry.shutdown()
    except PortTaken as error:
        log.error("%s cannot start: %s", process, error)  # noqa: TRY400 - the message says all
        return 1
    finally:
        stopped.cancel()
        starting.cancel()
        await operations.stop()
    return 0


async def _health(starting: asyncio.Task[App]) -> HealthDetails:
    if not starting.done():
        return summarised({"process": CheckResult("down", detail="starting")})
    return await starting.result().health()


def freeze_gc() -> None:
    """Once everything runs, keep the collector from looking again and again at what lives long.

    What was made at the start lives for ever (4 % of a busy process was spent on it). Ten thousand connections are a
    million objects: a look at all of them holds up whatever is asked meanwhile, and hardly ever finds anything.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def allow_open_files() -> None:
    """Take the open files that the system grants when asked: shells give 1,024, and every connection is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # macOS grants less than it says
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
