"""The revocations of the database, read by every edge into its list in memory as they are committed.

One connection per edge listens and reads new rows; a poll every half second covers a lost notification. Requests are
checked against the list and cost no query.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from typing import TYPE_CHECKING, Any, Final, Literal

import asyncpg

from chassis.background import Backoff, end
from chassis.retry import retry
from chassis.revocation.listing import Revocation
from chassis.store_errors import STORE_FAILURES
from edge.identity.sql import STATEMENTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from chassis.revocation.listing import RevocationList

log = logging.getLogger(__name__)

CHANNEL: Final = "partstream_revocations"  # the triggers in the database notify it at commit
POLL_SECONDS: Final = 0.5
_STATEMENT_SECONDS: Final = 3.0
_CATCH_UP_SECONDS: Final = 2.0  # the longest that a request waits for what it has just revoked
_QUEUE: Final = 1000  # changes that a service may lag behind

Batch = tuple[Revocation, ...]


class RevocationFeed:
    """Keeps the list of this edge current, and passes new revocations to the streams of the services."""

    def __init__(self, dsn: str, entries: RevocationList) -> None:
        """Read the edge's database at ``dsn`` over a connection of its own."""
        self.entries = entries
        self._dsn = dsn
        self._wake = asyncio.Event()
        self._queues: set[asyncio.Queue[Batch | None]] = set()
        self._waiting: list[asyncio.Future[None]] = []
        self._draining = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Read in the background."""
        self._task = asyncio.create_task(self._run(), name="revocation-feed")

    async def stop(self) -> None:
        """Stop reading."""
        self.drain()
        if self._task is not None:
            await end(self._task)
            self._task = None

    def drain(self) -> None:
        """End every subscription; a new one ends at once."""
        self._draining = True
        for queue in self._queues:
            _put(queue, None)

    async def catch_up(self) -> None:
        """Return when everything that was committed before this call is in the list, or after a bounded time."""
        if self._task is None:
            return
        done = asyncio.get_running_loop().create_future()
        self._waiting.append(done)
        self._wake.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CATCH_UP_SECONDS):
                await done

    @contextlib.contextmanager
    def subscribe(self) -> Iterator[asyncio.Queue[Batch | None]]:
        """Yield a queue of the revocations from now on; ``None`` in it ends the subscription."""
        queue: asyncio.Queue[Batch | None] = asyncio.Queue(_QUEUE)
        if self._draining:
            queue.put_nowait(None)
        self._queues.add(queue)
        try:
            yield queue
        finally:
            self._queues.discard(queue)

    async def _run(self) -> None:
        backoff = Backoff(0.1, 2.0)
        await retry(lambda: self._read(backoff), STORE_FAILURES, backoff, self._report)

    def _report(self, error: Exception, pause: float) -> None:
        log.warning("revocations are not read age=%.1f retry_in=%.1f: %r", self.entries.age, pause, error)

    async def _read(self, backoff: Backoff) -> None:
        connection = await asyncpg.connect(
            self._dsn,
            timeout=_STATEMENT_SECONDS,
            command_timeout=_STATEMENT_SECONDS,
            server_settings={"application_name": "partstream-revocations"},
        )
        try:
            await connection.add_listener(CHANNEL, self._notified)
            last = 0
            while True:
                self._wake.clear()
                waiting, self._waiting = self._waiting, []
                try:
                    rows = await connection.fetch(STATEMENTS["read_revocations"], last)
                except BaseException:
                    self._waiting += waiting
                    raise
                self._take(rows)
                last = rows[-1]["revocation_id"] if rows else last
                for done in waiting:
                    if not done.done():
                        done.set_result(None)
                backoff.reset()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS):
                        await self._wake.wait()
        finally:
            connection.terminate()

    def _take(self, rows: list[asyncpg.Record]) -> None:
        batch = tuple(map(_revocation, rows))
        self.entries.apply(batch)
        self.entries.confirm()
        if batch:
            for queue in self._queues:
                _put(queue, batch)

    def _notified(self, *_: Any) -> None:
        self._wake.set()


def _put(queue: asyncio.Queue[Batch | None], batch: Batch | None) -> None:
    """Add to a queue. A full queue is ended, and its service starts again with the whole list."""
    if queue.full():
        while not queue.empty():
            queue.get_nowait()
        batch = None
    queue.put_nowait(batch)


def _revocation(row: asyncpg.Record) -> Revocation:
    kind: Literal["session", "user", "key"] = row["kind"]
    return Revocation(kind, row["subject"], _seconds(row["not_before"]), _seconds(row["expires_at"]))


def _seconds(time: datetime | None) -> float:
    return math.inf if time is None else time.timestamp()
