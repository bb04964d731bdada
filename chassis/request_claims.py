"""Claims of request ids: kept for as long as a retry is promised to be answered, then forgotten."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chassis.database import Database

log = logging.getLogger(__name__)

KEEP_SECONDS = 25 * 3600.0  # a retry is promised for 24 h
_EVERY_SECONDS = 600.0
# Of one statement: what a day of many writes leaves would take one longer than a statement may, and so would never go.
_AT_ONCE = 20_000


# Forget claims older than so many seconds, so many of them at most.
_FORGET = """
DELETE FROM request WHERE ctid = ANY (ARRAY(
    SELECT q.ctid FROM request AS q WHERE q.created_at < now() - make_interval(secs => $1) LIMIT $2))
"""


async def forget_old_claims(database: Database) -> None:
    """Work until cancelled, in a database with a table ``request`` of claims."""
    while True:
        log.debug("forgot %d old claims", await forget_once(database))
        await asyncio.sleep(_EVERY_SECONDS)


async def forget_once(database: Database, at_once: int = _AT_ONCE) -> int:
    """Forget all that are old, so many with a statement; how many they were."""
    forgotten = 0
    while True:
        status = await database.pool.execute(_FORGET, KEEP_SECONDS, at_once)
        done = int(status.rpartition(" ")[2])
        forgotten += done
        if done < at_once:
            return forgotten
