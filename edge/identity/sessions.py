"""Sessions and their refresh tokens: begun by signing in, kept by refreshing, ended at once everywhere."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

from chassis.errors import TokenExpired, TokenInvalid, TokenRevoked
from chassis.logs import visible

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import asyncpg

    from chassis.database import Database

ABSOLUTE: Final = timedelta(days=14)  # no session is longer than this, however much it is used
IDLE: Final = timedelta(days=2)  # a refresh token that is not used for this long is dead
MOST_PER_USER: Final = 50

# A new session.
INSERT_SESSION: Final = """
INSERT INTO session (user_id, client_ip, user_agent, expires_at) VALUES ($1, $2, $3, now() + $4) RETURNING *
"""

# A user who may still sign in with the password that was checked. The row stays as it is until the session is stored:
# a change of the user that comes later sees the session and ends it.
LOCK_USER: Final = """
SELECT roles FROM "user" WHERE user_id = $1 AND password_hash = $2 AND disabled_at IS NULL FOR SHARE
"""

# End the sessions of a user beyond the limit: those that expire first, which are the oldest or the short ones of
# `token`, but never the new one.
REVOKE_SURPLUS: Final = """
UPDATE session SET revoked_at = now(), revoked_for = 'too many sessions'
WHERE session_id IN (
    SELECT session_id FROM session WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > now()
    ORDER BY session_id = $3 DESC, expires_at DESC, session_id OFFSET $2
)
"""

# A refresh token of a session, good until it is used, idle too long, or the session ends.
ISSUE_REFRESH: Final = """
INSERT INTO refresh_token (token_hash, session_id, expires_at)
SELECT $1, session_id, least(now() + $3, expires_at) FROM session WHERE session_id = $2
"""

# Use a token: at most one caller gets the row, however many bring it at once.
USE_REFRESH: Final = """
UPDATE refresh_token SET used_at = now() WHERE token_hash = $1 AND used_at IS NULL
RETURNING session_id, expires_at > now() AS alive
"""

# A token that could not be used: whose it is.
FIND_REFRESH: Final = "SELECT session_id FROM refresh_token WHERE token_hash = $1"

# A session as it is, with whether its user may still sign in.
SELECT_SESSION: Final = """
SELECT session.*, "user".disabled_at IS NULL AS user_enabled
FROM session JOIN "user" USING (user_id) WHERE session_id = $1
"""

# A browser's session with its user, if both still count; noting at most once a minute that it was used.
USE_BROWSER_SESSION: Final = """
WITH live AS (
    SELECT session_id, user_id, username, roles, last_seen_at, session.expires_at, tokens_not_before
    FROM session JOIN "user" USING (user_id)
    WHERE session_id = $1 AND revoked_at IS NULL AND expires_at > now() AND last_seen_at > now() - $2::interval
        AND disabled_at IS NULL
), touched AS (
    UPDATE session SET last_seen_at = now() FROM live
    WHERE session.session_id = live.session_id AND live.last_seen_at < now() - interval '1 minute'
)
SELECT user_id, username, roles, expires_at, tokens_not_before, clock_timestamp() AS read_at FROM live
"""

# Remember that a session was used.
TOUCH_SESSION: Final = "UPDATE session SET last_seen_at = now() WHERE session_id = $1"

# End one session.
REVOKE_SESSION: Final = """
UPDATE session SET revoked_at = now(), revoked_for = $2 WHERE session_id = $1 AND revoked_at IS NULL
RETURNING session_id
"""

# End every session of a user.
REVOKE_USER: Final = """
UPDATE session SET revoked_at = now(), revoked_for = $2 WHERE user_id = $1 AND revoked_at IS NULL RETURNING session_id
"""

# Sessions that count, newest first; of one user, or of all.
SELECT_OPEN: Final = """
SELECT session.*, "user".username FROM session JOIN "user" USING (user_id)
WHERE revoked_at IS NULL AND expires_at > now() AND ($1::uuid IS NULL OR user_id = $1)
ORDER BY session.created_at DESC, session_id LIMIT 200
"""


@dataclass(frozen=True, slots=True)
class Session:
    """A session as stored."""

    session_id: UUID
    user_id: UUID
    client_ip: str
    user_agent: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    username: str = ""

    @classmethod
    def from_row(cls, row: asyncpg.Record) -> Session:
        """The session of a row."""
        return cls(**{name: row[name] for name in cls.__slots__ if name in row})


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session that has just begun, its first refresh token, and the roles of its user as of then."""

    session: Session
    refresh_token: str
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BrowserSession:
    """Whose session a cookie names."""

    user_id: UUID
    username: str
    roles: tuple[str, ...]
    expires_at: datetime
    tokens_not_before: datetime | None
    read_at: datetime


class RefreshTokenReused(Exception):
    """A refresh token came a second time: its session was ended, because one of its two holders is a thief."""

    def __init__(self, session_id: UUID) -> None:
        """Say which session was ended."""
        super().__init__(f"refresh token of session {session_id} used twice")
        self.session_id = session_id


async def nothing_follows() -> None:
    """What a process does after a revocation that does not check tokens itself: the database tells those that do."""


class Sessions:
    """The tables of sessions and refresh tokens."""

    def __init__(self, database: Database, on_revoke: Callable[[], Awaitable[None]] = nothing_follows) -> None:
        """Use the edge's database; ``on_revoke`` returns when this process knows which tokens no longer count."""
        self._database = database
        self._on_revoke = on_revoke

    async def begin(self, user_id: UUID, password_hash: str, client_ip: str, user_agent: str) -> NewSession | None:
        """A new session of a user whose password was checked; ``None`` when its hash is no longer this one."""
        async with self._database.pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(LOCK_USER, user_id, password_hash)
            if row is None:
                return None
            session = await _insert(connection, user_id, client_ip, user_agent, ABSOLUTE)
            token = await _issue(connection, session.session_id)
            return NewSession(session, token, tuple(row["roles"]))

    async def begin_short(self, user_id: UUID, user_agent: str, lifetime: timedelta) -> Session:
        """A new session for one access token: it has no refresh token and expires with the access token."""
        async with self._database.pool.acquire() as connection, connection.transaction():
            return await _insert(connection, user_id, "", user_agent, lifetime)

    async def rotate(self, token: str) -> tuple[Session, str]:
        """The session of a refresh token and the token that replaces it.

        Raises ``TokenInvalid``, ``TokenExpired``, ``TokenRevoked``, or ``RefreshTokenReused`` after ending the session.
        """
        async with self._database.pool.acquire() as connection:
            async with connection.transaction():
                used = await connection.fetchrow(USE_REFRESH, _hash(token))
                if used is not None:
                    session = await _live_session(connection, used)
                    await connection.execute(TOUCH_SESSION, session.session_id)
                    return session, await _issue(connection, session.session_id)
            await self._refuse_used(connection, token)
            raise AssertionError("unreachable: a token that cannot be used is refused")

    async def _refuse_used(self, connection: asyncpg.Connection[asyncpg.Record], token: str) -> None:
        known = await connection.fetchrow(FIND_REFRESH, _hash(token))
        if known is None:
            message = "The refresh token is invalid: sign in again."
            raise TokenInvalid(message)
        await connection.execute(REVOKE_SESSION, known["session_id"], "refresh token used twice")
        await self._on_revoke()
        raise RefreshTokenReused(known["session_id"])

    async def browser_session(self, session_id: UUID) -> BrowserSession | None:
        """Whose session it is; ``None`` when it was ended, is too old, or was not used for too long."""
        row = await self._database.pool.fetchrow(USE_BROWSER_SESSION, session_id, IDLE)
        return BrowserSession(**{**dict(row), "roles": tuple(row["roles"])}) if row else None

    async def revoke(self, session_id: UUID, reason: str) -> bool:
        """End a session; whether it was open."""
        ended = await self._database.pool.fetchval(REVOKE_SESSION, session_id, reason) is not None
        await self._on_revoke()
        return ended

    async def revoke_by_token(self, token: str, reason: str) -> Session | None:
        """End the session of a refresh token, used or not; ``None`` when there is none."""
        known = await self._database.pool.fetchrow(FIND_REFRESH, _hash(token))
        if known is None:
            return None
        await self.revoke(known["session_id"], reason)
        row = await self._database.pool.fetchrow(SELECT_SESSION, known["session_id"])
        return Session.from_row(row) if row else None

    async def open_sessions(self, user_id: UUID | None = None) -> list[Session]:
        """Sessions that count, newest first, at most 200."""
        return [Session.from_row(row) for row in await self._database.pool.fetch(SELECT_OPEN, user_id)]


async def _insert(
    connection: asyncpg.pool.PoolConnectionProxy[asyncpg.Record],
    user_id: UUID,
    client_ip: str,
    user_agent: str,
    lifetime: timedelta,
) -> Session:
    row = await connection.fetchrow(INSERT_SESSION, user_id, client_ip, visible(user_agent)[:500], lifetime)
    session = Session.from_row(row)
    await connection.execute(REVOKE_SURPLUS, user_id, MOST_PER_USER, session.session_id)
    return session


async def _issue(connection: asyncpg.pool.PoolConnectionProxy[asyncpg.Record], session_id: UUID) -> str:
    token = secrets.token_urlsafe(32)
    await connection.execute(ISSUE_REFRESH, _hash(token), session_id, IDLE)
    return token


async def _live_session(connection: asyncpg.pool.PoolConnectionProxy[asyncpg.Record], used: asyncpg.Record) -> Session:
    row = await connection.fetchrow(SELECT_SESSION, used["session_id"])
    if row is None or row["revoked_at"] is not None or not row["user_enabled"]:
        message = "The session is revoked: sign in again."
        raise TokenRevoked(message)
    session = Session.from_row(row)
    if not used["alive"]:
        message = "The refresh token is expired: sign in again."
        raise TokenExpired(message)
    return session


def _hash(token: str) -> bytes:
    """A plain SHA-256 is enough: the token has 256 random bits, there is nothing to guess."""
    return hashlib.sha256(token.encode()).digest()
