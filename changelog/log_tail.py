"""Reading the end of a log over a connection of its own: one round trip a page, no waiting for a pool.

Every page says which epoch the log is in. As soon as the connection is lost nothing is known any more: another database
may be in the place of the one it led to, so the first page after that is compared with what was read before.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from changelog.log_entry import read_page
from chassis.errors import StoreUnavailable
from chassis.store_errors import CONNECTION_LOST

if TYPE_CHECKING:
    from collections.abc import Callable

    import asyncpg

    from changelog.log_entry import LogEntry, LogPage
    from chassis.database import Database

# The hash of one entry, and whether the log still reaches it.
_HASH = """
SELECT (SELECT hash FROM change_log WHERE revision = $1) AS hash,
       coalesce((SELECT revision FROM change_log ORDER BY revision DESC LIMIT 1), 0) >= $1 AS is_reached
"""

# A plan made while the log is empty would scan and sort it for as long as the session lives. And by itself the server
# would plan every page anew, which takes longer than reading a short one.
_PLAN_SETTINGS = {"enable_seqscan": "off", "enable_bitmapscan": "off", "plan_cache_mode": "force_generic_plan"}


class LogTail:
    """Pages after a revision. Not for concurrent use."""

    def __init__(self, database: Database) -> None:
        """Connect when first asked."""
        self._database = database
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._last: tuple[int, bytes] | None = None  # the newest entry taken, and its hash
        self.on_lost: Callable[[], None] = lambda: None

    async def page(self, after: int, limit: int) -> LogPage:
        """Up to ``limit`` entries after a revision; ``StoreUnavailable`` while the database is away."""
        try:
            connection = await self._connected()
            return await read_page(connection, after, limit)
        except CONNECTION_LOST as error:
            self._drop()
            message = "The database does not answer."
            raise StoreUnavailable(message) from error

    def took(self, entry: LogEntry) -> None:
        """Remember the newest entry that was taken into the window."""
        self._last = entry.revision, entry.hash

    def ends_with(self, entry: LogEntry) -> bool:
        """Whether this is the newest entry taken."""
        return self._last == (entry.revision, entry.hash)

    def begin_anew(self) -> None:
        """Nothing has been taken of the log as it is now."""
        self._last = None

    async def is_as_read(self) -> bool:
        """Whether the newest entry taken is still what it was; also when retention has dropped it meanwhile."""
        if self._last is None:
            return True
        revision, known = self._last
        try:
            connection = await self._connected()
            row = await connection.fetchrow(_HASH, revision)
        except CONNECTION_LOST as error:
            self._drop()
            message = "The database does not answer."
            raise StoreUnavailable(message) from error
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

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()
        self.on_lost()
