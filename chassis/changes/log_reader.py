"""Reading a change log's table: its identity, its ends, and pages in order of revision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from chassis.changes.cursor import Position
from chassis.changes.log_entry import LogEntry
from chassis.database import CONNECTION_LOST
from chassis.errors import StoreUnavailable

if TYPE_CHECKING:
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

# Entries after a revision, oldest first.
_PAGE = """
SELECT revision, epoch, transaction_id, entity, entity_id, version, operation, before::text, after::text, details::text,
       actor, actor_name, source, client_ip, request_id, traceparent, reason, committed_at
FROM change_log WHERE revision > $1 ORDER BY revision LIMIT $2
"""


class LogReader:
    """Reads one service's log through its database."""

    def __init__(self, database: Database, log: str) -> None:
        """Name the log: ``inventory`` or ``content``."""
        self._database = database
        self.log = log

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

    async def page(self, after: int, limit: int) -> list[LogEntry]:
        """Up to ``limit`` entries after a revision, oldest first."""
        try:
            rows = await self._database.pool.fetch(_PAGE, after, limit)
        except CONNECTION_LOST as error:
            raise _away() from error
        return [_entry(row) for row in rows]

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


def _entry(row: asyncpg.Record) -> LogEntry:
    values = dict(row)
    for column in ("before", "after", "details"):
        if values[column] is not None:
            values[column] = msgspec.json.decode(values[column])
    return LogEntry(**values)
