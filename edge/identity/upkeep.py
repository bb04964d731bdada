"""Forgetting what no longer counts, so that no table grows for ever. Any edge may do it; twice is as once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chassis.background import BackgroundService

if TYPE_CHECKING:
    from chassis.database import Database

INTERVAL_SECONDS: Final = 3600.0

# Attempts that no lock-out looks at any more.
DELETE_OLD_ATTEMPTS: Final = "DELETE FROM login_attempt WHERE attempted_at < now() - interval '1 day'"

# Sessions that ended a month ago, with their refresh tokens; the events that tell of them stay.
DELETE_OLD_SESSIONS: Final = """
DELETE FROM session WHERE least(expires_at, coalesce(revoked_at, expires_at)) < now() - interval '30 days'
"""

# Refresh tokens that were used or ran out long ago; a recent one is kept, so that its reuse is noticed.
DELETE_OLD_REFRESH: Final = "DELETE FROM refresh_token WHERE expires_at < now() - interval '7 days'"

# Revocations that no token is left for.
DELETE_OLD_REVOCATIONS: Final = "DELETE FROM revocation WHERE expires_at < now() - interval '1 hour'"


class IdentityUpkeep(BackgroundService):
    """Runs every hour."""

    def __init__(self, database: Database) -> None:
        """Clean the edge's database."""
        super().__init__("identity-upkeep", INTERVAL_SECONDS)
        self._database = database

    async def run_once(self) -> None:
        """Delete what is old."""
        for statement in (DELETE_OLD_ATTEMPTS, DELETE_OLD_SESSIONS, DELETE_OLD_REFRESH, DELETE_OLD_REVOCATIONS):
            await self._database.pool.execute(statement)
