"""Forgetting claims that no retry can come for any more."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from content_svc.sql.writes import FORGET_REQUESTS

if TYPE_CHECKING:
    from chassis.database import Database

log = logging.getLogger(__name__)

RETENTION_LOCK = (7302, 2)
KEEP_SECONDS = 25 * 3600.0  # a retry is promised for 24 h
_EVERY_SECONDS = 600.0


async def forget_old_requests(database: Database) -> None:
    """Work until cancelled."""
    while True:
        done = await database.pool.execute(FORGET_REQUESTS, KEEP_SECONDS)
        log.debug("forgot old claims: %s", done)
        await asyncio.sleep(_EVERY_SECONDS)
