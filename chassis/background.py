"""Background services: one step in a loop, and leader election where there must be one owner."""

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
    """Exponential delays with full jitter; call ``reset`` only after a stable time."""

    def __init__(self, first_seconds: float = 0.1, most_seconds: float = 10.0) -> None:
        """Start at ``first_seconds``; no delay exceeds ``most_seconds``."""
        self._first = first_seconds
        self._most = most_seconds
        self._failures = 0

    def next(self) -> float:
        """Return the seconds to wait before the next attempt."""
        ceiling = min(self._most, self._first * 2 ** min(self._failures, 16))
        self._failures += 1
        return random.uniform(ceiling / 10, ceiling)  # noqa: S311 - spreads load, protects no secret

    def reset(self) -> None:
        """Start again at the first delay."""
        self._failures = 0


async def end(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait until it has ended; raise what it failed with.

    Suppressing ``CancelledError`` around ``await task`` would also swallow a cancellation of the waiting task.
    """
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()


def raise_if_cancelled() -> None:
    """Raise ``CancelledError`` if this task was cancelled and a library swallowed the exception.

    redis-py does that while it connects; the task that cancelled this one would then wait permanently.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


class BackgroundService(ABC):
    """Runs ``run_once`` every ``interval_seconds``; a failed step is logged and retried after a back-off."""

    def __init__(self, name: str, interval_seconds: float) -> None:
        """``name`` is for the log."""
        self.name = name
        self.interval_seconds = interval_seconds
        self._nudged = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @abstractmethod
    async def run_once(self) -> None:
        """Run one step."""

    def nudge(self) -> None:
        """Run the next step now."""
        self._nudged.set()

    def start(self) -> None:
        """Start in the background."""
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
                log.warning("background step failed service=%s retry_in_seconds=%.1f error=%r", self.name, pause, error)
            raise_if_cancelled()
            with contextlib.suppress(TimeoutError):
                # Not `wait_for`: before Python 3.12 it loses a cancellation when its result is ready at the same time.
                async with asyncio.timeout(pause):
                    await self._nudged.wait()
            self._nudged.clear()


def _passes(error: BaseException) -> bool:
    """Whether an error is a condition of the database or of a service, which ends without a change to the code."""
    meaning = meaning_of(error)
    return isinstance(error, Unavailable | ResourceExhausted) or (meaning is not None and not meaning.is_fault)


class LeaderElection:
    """Runs work in one process of many, the leader: it holds a PostgreSQL advisory lock on a connection of its own.

    The work is cancelled as soon as the connection is lost, because then another process may have the lock.
    """

    CHECK_SECONDS = 1.0
    RETRY_SECONDS = 0.5

    def __init__(self, dsn: str, lock: tuple[int, int], name: str) -> None:
        """``lock`` has the two keys of the advisory lock; ``name`` is for the log."""
        self._dsn = dsn
        self._lock = lock
        self._name = name
        self._task: asyncio.Task[None] | None = None
        self.holds = False

    def start(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """Take part in the background; ``work()`` runs while this process leads and is restarted when it ends."""
        self._task = asyncio.create_task(self._run(work), name=f"leader-{self._name}")

    async def stop(self) -> None:
        """Stop the work and release the lock."""
        if self._task is not None:
            await end(self._task)
            self._task = None

    async def _run(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        backoff = Backoff(self.RETRY_SECONDS, 5.0)
        while True:
            try:
                await self._lead(work, backoff)
            except CONNECTION_LOST as error:
                log.warning("leader lock lost role=%s error=%r", self._name, error)
            except Exception as error:
                if _passes(error):
                    log.warning("leader work interrupted role=%s error=%r", self._name, error)
                else:
                    log.exception("leader work failed role=%s", self._name)
            raise_if_cancelled()
            await asyncio.sleep(backoff.next())

    async def _lead(self, work: Callable[[], Coroutine[None, None, None]], backoff: Backoff) -> None:
        connection = await asyncpg.connect(self._dsn, timeout=5, command_timeout=5)
        try:
            await self._take_lock(connection)
            raise_if_cancelled()
            log.info("leader elected role=%s", self._name)
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
        """Raise when the connection, and with it the lock, is lost."""
        while True:
            await asyncio.sleep(self.CHECK_SECONDS)
            await connection.fetchval("SELECT 1")
