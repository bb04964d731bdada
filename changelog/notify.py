"""Notifies other replicas of commits: coalesced NOTIFY, and LISTEN on a connection of its own.

NOTIFY takes a global lock at commit, so the service never sends it inside a write transaction. Transactions of other
database clients do, by a trigger: no process sends it for them.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import asyncpg

from chassis.background import Backoff, end
from chassis.retry import retry
from chassis.store_errors import STORE_FAILURES

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

CHANNEL = "partstream_changes"
COALESCE_SECONDS = 0.005
_ALIVE_SECONDS = 5.0


class ChangeNotifier:
    """Sends and receives notifications over one connection."""

    def __init__(self, dsn: str, wake: Callable[[], None]) -> None:
        """``wake`` is called when another process has committed."""
        self._dsn = dsn
        self._wake = wake
        self._pending = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Connect in the background, and again whenever the connection is lost."""
        self._task = asyncio.create_task(self._run(), name="change-notifier")

    async def stop(self) -> None:
        """Disconnect."""
        if self._task is not None:
            await end(self._task)

    def committed(self) -> None:
        """Notify the other replicas soon: at most once per 5 ms."""
        self._pending.set()

    async def _run(self) -> None:
        backoff = Backoff()
        await retry(lambda: self._notify_and_listen(backoff), STORE_FAILURES, backoff, self._report)

    @staticmethod
    def _report(error: Exception, _: float) -> None:
        log.warning("notifications are interrupted, polling goes on: %r", error)

    async def _notify_and_listen(self, backoff: Backoff) -> None:
        connection = await asyncpg.connect(self._dsn, timeout=5, command_timeout=5)
        try:
            await connection.add_listener(CHANNEL, self._on_notification)
            backoff.reset()
            self._wake()
            await self._send(connection)
        finally:
            connection.terminate()

    async def _send(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        while True:
            try:
                async with asyncio.timeout(_ALIVE_SECONDS):
                    await self._pending.wait()
            except TimeoutError:
                await connection.execute("SELECT 1")
                continue
            self._pending.clear()
            await connection.execute(f"NOTIFY {CHANNEL}")
            await asyncio.sleep(COALESCE_SECONDS)

    def _on_notification(self, _connection: Any, pid: int, _channel: str, _payload: object) -> None:
        if _connection.is_closed() or _connection.get_server_pid() != pid:  # a closed one has no pid
            self._wake()
