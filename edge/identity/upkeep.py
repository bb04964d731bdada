"""Deletion of expired rows of identity, so that no table grows without limit."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from piccolo.querystring import QueryString

from chassis.background import BackgroundService
from edge.identity import tables
from edge.identity.sql import STATEMENTS

if TYPE_CHECKING:
    from chassis.database import Database

log = logging.getLogger("edge.security")

INTERVAL_SECONDS: Final = 600.0
EVENTS_AT_ONCE: Final = 50_000


class IdentityUpkeep(BackgroundService):
    """Run every ten minutes. Any edge may do it; a second run deletes nothing."""

    def __init__(self, database: Database, keep_events_for: timedelta) -> None:
        """Clean the edge's database; security events are stored for at least ``keep_events_for``."""
        super().__init__("identity-upkeep", INTERVAL_SECONDS)
        self._database = database
        self._keep_events_for = keep_events_for

    async def run_once(self) -> None:
        """Delete what has no effect any more."""
        attempt, session, token, revocation = (
            tables.LoginAttempt,
            tables.Session,
            tables.RefreshToken,
            tables.Revocation,
        )
        # The lock-out counts attempts of an hour.
        await self._database.run(attempt.delete().where(attempt.attempted_at < _ago(timedelta(hours=2))))
        # With their refresh tokens; the security events of a session stay.
        ended = (session.expires_at < _ago(timedelta(days=30))) | (session.revoked_at < _ago(timedelta(days=30)))
        await self._database.run(session.delete().where(ended))
        # A recent token stays after its use, so that a second use is noticed.
        await self._database.run(token.delete().where(token.expires_at < _ago(timedelta(days=7))))
        # No access token lives that long.
        await self._database.run(revocation.delete().where(revocation.expires_at < _ago(timedelta(hours=1))))
        await self._expire_events()

    async def _expire_events(self) -> None:
        expired = EVENTS_AT_ONCE
        while expired == EVENTS_AT_ONCE:
            expired = await self._database.pool.fetchval(
                STATEMENTS["expire_events"], self._keep_events_for, EVENTS_AT_ONCE
            )
            if expired:
                log.info("security events expired rows=%d", expired)


def _ago(age: timedelta) -> QueryString:
    """Return the timestamp of that long ago, by the clock of the database."""
    return QueryString("now() - {}::interval", age)
