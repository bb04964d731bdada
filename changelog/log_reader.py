"""Reads the table of a change log: its identity, its ends, pages in order of revision, searches.

``LogReader`` reads through the service's pool. ``TailConnection`` reads the newest entries over a connection of its
own: one round trip per page, without waiting for a pool.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from changelog.cursor import Position
from changelog.log_entry import FIND, LogEntry, LogPage, entries_of, read_page
from chassis.errors import StoreUnavailable
from chassis.store_errors import CONNECTION_LOST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    import asyncpg

    from chassis.database import Database

# The log's identity and newest revision.
_HEAD = """
SELECT epoch, coalesce((SELECT revision FROM change_log ORDER BY revision DESC LIMIT 1), 0) AS revision
FROM change_log_identity
"""

# Where the present epoch began: the last revision of the epoch before, 0 in a log that never had another.
_EPOCH_START = "SELECT epoch, began_after AS revision FROM change_log_identity"

# The oldest revision in the log; NULL when it is empty.
_OLDEST = "SELECT revision FROM change_log ORDER BY revision LIMIT 1"

# Bytes of the log on disk, indexes included.
_DISK_BYTES = """
SELECT coalesce(sum(pg_total_relation_size(inhrelid)), 0)::bigint FROM pg_inherits
WHERE inhparent = 'change_log'::regclass
"""

# Revision and committed_at of one entry or the first after it, for a search by time.
_TIME_AT = "SELECT revision, committed_at FROM change_log WHERE revision >= $1 ORDER BY revision LIMIT 1"

# The hash of one entry, and whether the log still reaches it.
_HASH = """
SELECT (SELECT hash FROM change_log WHERE revision = $1) AS hash,
       coalesce((SELECT revision FROM change_log ORDER BY revision DESC LIMIT 1), 0) >= $1 AS is_reached
"""

# A plan made while the log is empty would scan and sort it for as long as the connection lives. Without these settings
# the server also plans every page again, which takes longer than reading a short one.
_PLAN_SETTINGS = {"enable_seqscan": "off", "enable_bitmapscan": "off", "plan_cache_mode": "force_generic_plan"}

SEARCH_SECONDS = 2.0  # then a page returns what it has, before the caller's deadline
_FIRST_WINDOW = 4096  # revisions; a search for something frequent fills a page from it
_WIDEST_WINDOW = 1 << 20
_QUICK_SECONDS = 0.3  # a window read faster than this is followed by a wider one, a slower one by a narrower one
_WIDER = 16


@dataclass(frozen=True, slots=True)
class SearchPage:
    """Entries found, the last revision searched, and whether that was the head of the log at the time."""

    entries: list[LogEntry]
    reached: int
    end: bool


class LogReader:
    """Reads one service's log through its pool."""

    def __init__(self, database: Database, log: str) -> None:
        """Name the log: ``inventory`` or ``content``."""
        self._database = database
        self.log = log

    def tail(self) -> TailConnection:
        """Return a reader of the newest entries with a connection of its own."""
        return TailConnection(self._database)

    async def head(self) -> Position:
        """Return the newest committed position."""
        row = await self._fetchrow(_HEAD)
        return Position(self.log, row["epoch"], row["revision"])

    async def epoch_start(self) -> Position:
        """Return the position at which the present epoch began."""
        row = await self._fetchrow(_EPOCH_START)
        return Position(self.log, row["epoch"], row["revision"])

    async def oldest(self) -> int:
        """Return the oldest revision in the log; 1 when it is empty."""
        with _store_errors():
            found: int | None = await self._database.pool.fetchval(_OLDEST)
        return found or 1

    async def page(self, after: int, limit: int) -> LogPage:
        """Return up to ``limit`` entries after a revision, oldest first."""
        with _store_errors():
            return await read_page(self._database.pool, after, limit)

    async def disk_bytes(self) -> int:
        """Return the bytes of the log on disk."""
        return int((await self._fetchrow(_DISK_BYTES))[0])

    async def revision_before(self, time_limit: datetime) -> int:
        """Return the newest revision committed before a timestamp, by binary search: commit times rise with revisions.

        Times come from one database clock under the log's lock, so only a clock that was set back makes them fall, and
        then an entry close to the timestamp may be missing or added; the order of the entries is not affected.
        """
        low, high = await self.oldest(), (await self.head()).revision + 1
        while low < high:
            middle = (low + high) // 2
            row = await self._database.pool.fetchrow(_TIME_AT, middle)
            if row is None or row["committed_at"] >= time_limit:
                high = middle
            else:
                low = row["revision"] + 1
        return low - 1

    async def search(self, after: int, head: int, *, entity: str, ids: Sequence[str] | None, size: int) -> SearchPage:
        """Return up to ``size`` entries after a revision, of a kind and with these ids (``None`` = all), oldest first.

        Fewer, and ``end`` false, when ``SEARCH_SECONDS`` were not enough to reach ``head``. A full page ends the
        search within the present window of revisions: the next page finds out whether more entries follow.
        """
        if ids is not None and not ids:
            return SearchPage([], max(after, head), end=True)
        deadline = time.monotonic() + SEARCH_SECONDS
        found: list[LogEntry] = []
        window = _FIRST_WINDOW
        while after < head and time.monotonic() < deadline:
            began = time.monotonic()
            high = min(after + window, head)
            found += await self._find(after, high, entity, ids, size - len(found) + 1)  # one more: does another follow?
            if len(found) > size:
                return SearchPage(found[:size], found[size - 1].revision, end=False)
            after = high
            if len(found) == size:
                break
            is_quick = time.monotonic() - began < _QUICK_SECONDS
            window = min(window * _WIDER, _WIDEST_WINDOW) if is_quick else max(window // _WIDER, _FIRST_WINDOW)
        return SearchPage(found, after, end=after >= head)

    async def _find(self, low: int, high: int, entity: str, ids: Sequence[str] | None, most: int) -> list[LogEntry]:
        with _store_errors():
            return entries_of(await self._database.pool.fetch(FIND, low, high, entity, ids, most))

    async def _fetchrow(self, query: str) -> asyncpg.Record:
        with _store_errors():
            row = await self._database.pool.fetchrow(query)
        if row is None:
            raise _unavailable()
        return row


class TailConnection:
    """Reads pages after a revision over a connection of its own. Not for concurrent use.

    Once the connection is lost nothing is certain: another database may have replaced the one that it led to, so the
    first page after that is compared with the last entry read before.
    """

    def __init__(self, database: Database) -> None:
        """Connect at the first read."""
        self._database = database
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._last: tuple[int, bytes] | None = None  # the newest entry in the window, and its hash
        self.on_lost: Callable[[], None] = lambda: None

    async def page(self, after: int, limit: int) -> LogPage:
        """Return up to ``limit`` entries after a revision; ``StoreUnavailable`` while the database is unavailable."""
        with self._dropping():
            return await read_page(await self._connected(), after, limit)

    def took(self, entry: LogEntry) -> None:
        """Remember the newest entry in the window."""
        self._last = entry.revision, entry.hash

    def ends_with(self, entry: LogEntry) -> bool:
        """Whether this is the newest entry in the window."""
        return self._last == (entry.revision, entry.hash)

    def reset(self) -> None:
        """Forget the newest entry: the log is loaded again."""
        self._last = None

    async def is_as_read(self) -> bool:
        """Whether the newest entry is unchanged; also true when retention has dropped it."""
        if self._last is None:
            return True
        revision, known = self._last
        with self._dropping():
            row = await (await self._connected()).fetchrow(_HASH, revision)
        return bool(row and row["is_reached"] and row["hash"] in (None, known))

    async def close(self) -> None:
        """Disconnect."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(1):
                    await connection.close()
                    return
            connection.terminate()

    async def _connected(self) -> asyncpg.Connection[asyncpg.Record]:
        connection = self._connection
        if connection is None or connection.is_closed():
            connection = await self._database.connect(**_PLAN_SETTINGS)
            self._connection = connection
            connection.add_termination_listener(self._terminated)
        return connection

    def _terminated(self, connection: object) -> None:
        if connection is self._connection:
            self.on_lost()

    @contextlib.contextmanager
    def _dropping(self) -> Iterator[None]:
        """Drop a connection that failed, and raise ``StoreUnavailable``."""
        try:
            yield
        except CONNECTION_LOST as error:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.terminate()
            self.on_lost()
            raise _unavailable() from error


@contextlib.contextmanager
def _store_errors() -> Iterator[None]:
    try:
        yield
    except CONNECTION_LOST as error:
        raise _unavailable() from error


def _unavailable() -> StoreUnavailable:
    return StoreUnavailable("Database unavailable. Retry later.")
