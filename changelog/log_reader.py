"""Reading a change log's table: its identity, its ends, and pages in order of revision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from changelog.cursor import Position
from changelog.log_entry import LogPage, read_page
from changelog.log_tail import LogTail
from chassis.errors import StoreUnavailable
from chassis.store_errors import CONNECTION_LOST

if TYPE_CHECKING:
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

# The oldest revision still kept; NULL when the log is empty.
_OLDEST = "SELECT revision FROM change_log ORDER BY revision LIMIT 1"

# Bytes of the log on disk, indexes included.
_DISK_BYTES = """
SELECT coalesce(sum(pg_total_relation_size(inhrelid)), 0)::bigint FROM pg_inherits
WHERE inhparent = 'change_log'::regclass
"""

# Bounds and committed_at of one revision or the first after it, for a search by time.
_TIME_AT = "SELECT revision, committed_at FROM change_log WHERE revision >= $1 ORDER BY revision LIMIT 1"


class LogReader:
    """Reads one service's log through its database."""

    def __init__(self, database: Database, log: str) -> None:
        """Name the log: ``inventory`` or ``content``."""
        self._database = database
        self.log = log

    def tail(self) -> LogTail:
        """The log's end, over a connection of its own."""
        return LogTail(self._database)

    async def head(self) -> Position:
        """The newest committed position."""
        row = await self._fetchrow(_HEAD)
        return Position(self.log, row["epoch"], row["revision"])

    async def epoch_start(self) -> Position:
        """The position at which the present epoch began."""
        row = await self._fetchrow(_EPOCH_START)
        return Position(self.log, row["epoch"], row["revision"])

    async def oldest(self) -> int:
        """The oldest revision kept; 1 when the log is empty."""
        try:
            found: int | None = await self._database.pool.fetchval(_OLDEST)
        except CONNECTION_LOST as error:
            raise _away() from error
        return found or 1

    async def page(self, after: int, limit: int) -> LogPage:
        """Up to ``limit`` entries after a revision, oldest first."""
        try:
            return await read_page(self._database.pool, after, limit)
        except CONNECTION_LOST as error:
            raise _away() from error

    async def disk_bytes(self) -> int:
        """Bytes of the log on disk."""
        return int((await self._fetchrow(_DISK_BYTES))[0])

    async def revision_before(self, moment: datetime) -> int:
        """The newest revision committed before a moment, found by halving: commit times rise with revisions.

        Times come from one database clock under the log's lock, so only a clock set back can make them fall, and then
        an entry near the moment may be missed or added; the order of what is read is not touched.
        """
        low, high = await self.oldest(), (await self.head()).revision + 1
        while low < high:
            middle = (low + high) // 2
            row = await self._database.pool.fetchrow(_TIME_AT, middle)
            if row is None or row["committed_at"] >= moment:
                high = middle
            else:
                low = row["revision"] + 1
        return low - 1

    async def _fetchrow(self, query: str) -> asyncpg.Record:
        try:
            row = await self._database.pool.fetchrow(query)
        except CONNECTION_LOST as error:
            raise _away() from error
        if row is None:
            raise _away()
        return row


def _away() -> StoreUnavailable:
    return StoreUnavailable("The database does not answer.")
