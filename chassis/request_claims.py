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


async def forget_old_claims(database: Database, forget: str) -> None:
    """Work until cancelled; ``forget`` as in ``forget_once``."""
    while True:
        log.debug("forgot %d old claims", await forget_once(database, forget))
        await asyncio.sleep(_EVERY_SECONDS)


async def forget_once(database: Database, forget: str, at_once: int = _AT_ONCE) -> int:
    """Forget all that are old; how many. ``forget`` deletes those older than ``$1`` seconds, ``$2`` of them at most."""
    forgotten = 0
    while True:
        status = await database.pool.execute(forget, KEEP_SECONDS, at_once)
        done = int(status.rpartition(" ")[2])
        forgotten += done
        if done < at_once:
            return forgotten
