"""Forgetting what no longer counts, so that no table grows for ever. Any edge may do it; twice is as once."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from chassis.background import BackgroundService

if TYPE_CHECKING:
    from datetime import timedelta

    from chassis.database import Database

log = logging.getLogger("edge.security")

INTERVAL_SECONDS: Final = 600.0
EVENTS_AT_ONCE: Final = 50_000

# Attempts that no lock-out looks at any more: it looks at those of an hour.
DELETE_OLD_ATTEMPTS: Final = "DELETE FROM login_attempt WHERE attempted_at < now() - interval '2 hours'"

# Sessions that ended a month ago, with their refresh tokens; the events that tell of them stay.
DELETE_OLD_SESSIONS: Final = """
DELETE FROM session WHERE least(expires_at, coalesce(revoked_at, expires_at)) < now() - interval '30 days'
"""

# Refresh tokens that were used or ran out long ago; a recent one is kept, so that its reuse is noticed.
DELETE_OLD_REFRESH: Final = "DELETE FROM refresh_token WHERE expires_at < now() - interval '7 days'"

# Revocations that no token is left for.
DELETE_OLD_REVOCATIONS: Final = "DELETE FROM revocation WHERE expires_at < now() - interval '1 hour'"

# Security events of days that are no longer kept; the function records what it took.
EXPIRE_EVENTS: Final = "SELECT expire_security_events($1, $2)"


class IdentityUpkeep(BackgroundService):
    """Runs every ten minutes."""

    def __init__(self, database: Database, keep_events_for: timedelta) -> None:
        """Clean the edge's database; security events are kept for so long."""
        super().__init__("identity-upkeep", INTERVAL_SECONDS)
        self._database = database
        self._keep_events_for = keep_events_for

    async def run_once(self) -> None:
        """Delete what is old."""
        for statement in (DELETE_OLD_ATTEMPTS, DELETE_OLD_SESSIONS, DELETE_OLD_REFRESH, DELETE_OLD_REVOCATIONS):
            await self._database.pool.execute(statement)
        expired = EVENTS_AT_ONCE
        while expired == EVENTS_AT_ONCE:
            expired = await self._database.pool.fetchval(EXPIRE_EVENTS, self._keep_events_for, EVENTS_AT_ONCE)
            if expired:
                log.info("security events expired rows=%d", expired)
