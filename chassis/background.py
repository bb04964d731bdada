"""Background services: one step, a loop around it, and ownership where there must be one owner."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import asyncpg

from chassis.errors import ResourceExhausted, Unavailable
from chassis.store_errors import CONNECTION_LOST, meaning_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

log = logging.getLogger(__name__)


class Backoff:
    """Exponential delays with full jitter; ``reset`` only after things went well for a while."""

    def __init__(self, first_seconds: float = 0.1, most_seconds: float = 10.0) -> None:
        """Begin at ``first_seconds``; no delay exceeds ``most_seconds``."""
        self._first = first_seconds
        self._most = most_seconds
        self._failures = 0

    def next(self) -> float:
        """Seconds to wait before the next attempt."""
        ceiling = min(self._most, self._first * 2 ** min(self._failures, 16))
        self._failures += 1
        return random.uniform(ceiling / 10, ceiling)  # noqa: S311 - spreads load, keeps no secret

    def reset(self) -> None:
        """The next failure is the first again."""
        self._failures = 0


async def end(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait until it has ended; raises what it failed with, and is itself cancelled like any other.

    Suppressing ``CancelledError`` around ``await task`` would swallow that of whoever waits as well.
    """
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()


def heed_cancellation() -> None:
    """Raise ``CancelledError`` if this task was cancelled and something it called made nothing of it.

    redis-py does that while it connects; whoever stopped the task would then wait for ever.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


class BackgroundService(ABC):
    """Runs ``run_once`` every ``interval_seconds``; a failure is logged and tried again after a back-off."""

    def __init__(self, name: str, interval_seconds: float) -> None:
        """Name the service for the log."""
        self.name = name
        self.interval_seconds = interval_seconds
        self._nudged = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @abstractmethod
    async def run_once(self) -> None:
        """One step."""

    def nudge(self) -> None:
        """Run the next step now."""
        self._nudged.set()

    def start(self) -> None:
        """Begin in the background."""
        self._task = asyncio.create_task(self._run(), name=self.name)

    async def stop(self) -> None:
        """Stop, and wait until it has stopped."""
        if self._task is not None:
            await end(self._task)
            self._task = None

    async def _run(self) -> None:
        backoff = Backoff(0.2, 15.0)
        while True:
            pause = self.interval_seconds
            try:
                await self.run_once()
                backoff.reset()
            except asyncio.CancelledError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever a step met, the next one is due
                pause = backoff.next()
                log.warning("%s failed and is tried again in %.1f s: %r", self.name, pause, error)
            heed_cancellation()
            with contextlib.suppress(TimeoutError):
                # Not `wait_for`: before Python 3.12 it forgets that it was cancelled when what it awaits is there too.
                async with asyncio.timeout(pause):
                    await self._nudged.wait()
            self._nudged.clear()


def _passes(error: BaseException) -> bool:
    """Whether an error is a condition of the database or of a service, which ends without a change of ours."""
    meaning = meaning_of(error)
    return isinstance(error, Unavailable | ResourceExhausted) or (meaning is not None and not meaning.is_fault)


class LeaderElection:
    """Runs work in one process of many: whoever holds a PostgreSQL advisory lock on a connection of its own.

    The work is cancelled as soon as the connection is found gone, because then another process may have the lock.
    """

    CHECK_SECONDS = 1.0
    RETRY_SECONDS = 0.5

    def __init__(self, dsn: str, lock: tuple[int, int], name: str) -> None:
        """Name the database, the lock's two keys and the role for the log."""
        self._dsn = dsn
        self._lock = lock
        self._name = name
        self._task: asyncio.Task[None] | None = None
        self.holds = False

    def start(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """Stand for election in the background; ``work()`` runs while elected and is started again when it ends."""
        self._task = asyncio.create_task(self._stand(work), name=f"elected-{self._name}")

    async def stop(self) -> None:
        """Give way."""
        if self._task is not None:
            await end(self._task)
            self._task = None

    async def _stand(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        backoff = Backoff(self.RETRY_SECONDS, 5.0)
        while True:
            try:
                await self._serve_one_term(work, backoff)
            except CONNECTION_LOST as error:
                log.warning("%s: the connection with the lock is gone: %r", self._name, error)
            except Exception as error:
                if _passes(error):
                    log.warning("%s is interrupted: %r", self._name, error)
                else:
                    log.exception("%s failed", self._name)
            heed_cancellation()
            await asyncio.sleep(backoff.next())

    async def _serve_one_term(self, work: Callable[[], Coroutine[None, None, None]], backoff: Backoff) -> None:
        connection = await asyncpg.connect(self._dsn, timeout=5, command_timeout=5)
        try:
            await self._take_lock(connection)
            heed_cancellation()
            log.info("%s: elected", self._name)
            self.holds = True
            backoff.reset()
            tasks = {asyncio.create_task(work()), asyncio.create_task(self._keep_alive(connection))}
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                self.holds = False
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            for task in done:
                task.result()
        finally:
            connection.terminate()

    async def _take_lock(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        while True:
            if await connection.fetchval("SELECT pg_try_advisory_lock($1, $2)", *self._lock):
                return
            await asyncio.sleep(self.RETRY_SECONDS)

    async def _keep_alive(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        """Raise as soon as the connection, and with it the lock, is lost."""
        while True:
            await asyncio.sleep(self.CHECK_SECONDS)
            await connection.fetchval("SELECT 1")
