"""Deletes old claims of request ids, once the promised time for retries has passed."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chassis.database import Database

log = logging.getLogger(__name__)

KEEP_SECONDS = 25 * 3600.0  # a retry is replayed for at least 24 h
_EVERY_SECONDS = 600.0
# Rows per statement: the claims of a busy day would exceed the statement timeout, and so would never be deleted.
_AT_ONCE = 20_000


# Delete up to $2 claims older than $1 seconds.
_DELETE = """
DELETE FROM request WHERE ctid = ANY (ARRAY(
    SELECT q.ctid FROM request AS q WHERE q.created_at < now() - make_interval(secs => $1) LIMIT $2))
"""


async def delete_old_claims(database: Database) -> None:
    """Run until cancelled, in a database with a table ``request`` of claims."""
    while True:
        log.debug("old request claims deleted count=%d", await delete_once(database))
        await asyncio.sleep(_EVERY_SECONDS)


async def delete_once(database: Database, at_once: int = _AT_ONCE) -> int:
    """Delete all old claims, ``at_once`` per statement; return their number."""
    deleted = 0
    while True:
        status = await database.pool.execute(_DELETE, KEEP_SECONDS, at_once)
        done = int(status.rpartition(" ")[2])
        deleted += done
        if done < at_once:
            return deleted
