"""Sessions and their refresh tokens: begun by a sign-in, extended by refreshing, revoked everywhere at once."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from uuid import UUID

from piccolo.querystring import QueryString

from chassis.database import TransactionManager
from chassis.errors import TokenExpired, TokenInvalid, TokenRevoked
from chassis.logs import visible
from edge.identity import tables
from edge.identity.sql import STATEMENTS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    import asyncpg
    from piccolo.query.methods.update import Update

    from chassis.database import Database

    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]

ABSOLUTE: Final = timedelta(days=14)  # no session is longer than this, however much it is used
IDLE: Final = timedelta(days=2)  # a refresh token that is not used for this long expires
MOST_PER_USER: Final = 50
MOST_LISTED: Final = 200
_MOST_USER_AGENT: Final = 500  # characters


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
    def from_row(cls, row: Mapping[str, Any]) -> Session:
        """Return the session of a row, which may have more columns."""
        return cls(**{name: row[name] for name in cls.__slots__ if name in row.keys()})  # noqa: SIM118 - a record


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session that has just begun, its first refresh token, and the roles of its user as of then."""

    session: Session
    refresh_token: str
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BrowserSession:
    """The session that a cookie names, with its user."""

    user_id: UUID
    username: str
    roles: tuple[str, ...]
    expires_at: datetime
    tokens_not_before: datetime | None
    read_at: datetime


class RefreshTokenReused(Exception):
    """A refresh token was used a second time. Its session is revoked, because one of its two holders is a thief."""

    def __init__(self, session_id: UUID) -> None:
        """Name the session."""
        super().__init__(f"refresh token of session {session_id} used twice")
        self.session_id = session_id


async def no_action() -> None:
    """Do nothing after a revocation: for a process that checks no tokens. The database notifies those that do."""


class Sessions:
    """The tables of sessions and refresh tokens."""

    def __init__(self, database: Database, on_revoke: Callable[[], Awaitable[None]] = no_action) -> None:
        """Use the edge's database; ``on_revoke`` returns when this process has read the new revocations."""
        self._database = database
        self._transactions = TransactionManager(database)
        self._on_revoke = on_revoke

    async def begin(self, user_id: UUID, password_hash: str, client_ip: str, user_agent: str) -> NewSession | None:
        """Begin a session of a user whose password was checked; ``None`` when it is no longer the user's password.

        The user is locked until the session is stored: a later change of the user then revokes the session.
        """
        user = tables.User
        async with self._transactions.begin() as connection:
            found = await self._transactions.with_row_locking(
                user.select(user.roles).where(
                    user.user_id == user_id, user.password_hash == password_hash, user.disabled_at.is_null()
                ),
                "SHARE",
            )
            if not found:
                return None
            token = _new_token()
            session = await _insert(connection, user_id, client_ip, user_agent, ABSOLUTE, token)
            return NewSession(session, token, tuple(found[0]["roles"]))

    async def begin_short(self, user_id: UUID, user_agent: str, lifetime: timedelta) -> Session:
        """Begin a session for one access token: it has no refresh token and expires with the access token."""
        async with self._transactions.begin() as connection:
            return await _insert(connection, user_id, "", user_agent, lifetime)

    async def rotate(self, token: str) -> tuple[Session, str]:
        """Return the session of a refresh token and the token that replaces it.

        Raise ``TokenInvalid``, ``TokenExpired``, ``TokenRevoked``, or ``RefreshTokenReused`` after the session is
        revoked.
        """
        async with self._transactions.begin() as connection:
            used = await connection.fetchrow(STATEMENTS["use_refresh_token"], _hash(token))
            if used is not None:
                session, next_token = await _touch_valid_session(connection, used), _new_token()
                await connection.execute(STATEMENTS["issue_refresh_token"], _hash(next_token), session.session_id, IDLE)
                return session, next_token
        session_id = await self._session_of_token(token)
        if session_id is None:
            message = "The refresh token is invalid: sign in again."
            raise TokenInvalid(message)
        await self.revoke(session_id, "refresh token used twice")
        raise RefreshTokenReused(session_id)

    async def browser_session(self, session_id: UUID) -> BrowserSession | None:
        """Return a session with its user; ``None`` when it is revoked, expired, or was not used for too long."""
        row = await self._database.pool.fetchrow(STATEMENTS["use_browser_session"], session_id, IDLE)
        return BrowserSession(**{**dict(row), "roles": tuple(row["roles"])}) if row else None

    async def revoke(self, session_id: UUID, reason: str) -> bool:
        """Revoke a session; return whether it was open."""
        session = tables.Session
        revoked = await self._database.run(revoke_query(reason).where(session.session_id == session_id))
        await self._on_revoke()
        return bool(revoked)

    async def revoke_by_token(self, token: str, reason: str) -> UUID | None:
        """Revoke the session of a refresh token, used or not, and return its id; ``None`` when there is no session."""
        session_id = await self._session_of_token(token)
        if session_id is not None:
            await self.revoke(session_id, reason)
        return session_id

    async def open_sessions(self, user_id: UUID | None = None) -> list[Session]:
        """Return the valid sessions, newest first, at most 200."""
        session = tables.Session
        query = (
            session.select(*session.all_columns(), session.user_id.username.as_alias("username"))
            .where(session.revoked_at.is_null(), session.expires_at > QueryString("now()"))
            .order_by(session.created_at, ascending=False)
            .order_by(session.session_id)
            .limit(MOST_LISTED)
        )
        if user_id is not None:
            query = query.where(session.user_id == user_id)
        return [Session.from_row(row) for row in await self._database.run(query)]

    async def _session_of_token(self, token: str) -> UUID | None:
        refresh_token = tables.RefreshToken
        query = refresh_token.select(refresh_token.session_id).where(refresh_token.token_hash == _hash(token))
        rows = await self._database.run(query)
        return rows[0]["session_id"] if rows else None


def revoke_query(reason: str) -> Update[tables.Session]:
    """Return an update that revokes open sessions and returns their ids; add which by ``where``."""
    session = tables.Session
    values: dict[Any, Any] = {session.revoked_at: QueryString("now()"), session.revoked_for: reason}
    return session.update(values).where(session.revoked_at.is_null()).returning(session.session_id)


async def _insert(
    connection: Connection,
    user_id: UUID,
    client_ip: str,
    user_agent: str,
    lifetime: timedelta,
    token: str | None = None,
) -> Session:
    agent, token_hash = visible(user_agent)[:_MOST_USER_AGENT], _hash(token) if token else None
    row = await connection.fetchrow(STATEMENTS["insert_session"], user_id, client_ip, agent, lifetime, token_hash, IDLE)
    session = Session.from_row(row)
    await connection.execute(STATEMENTS["revoke_surplus_sessions"], user_id, MOST_PER_USER, session.session_id)
    return session


async def _touch_valid_session(connection: Connection, used: asyncpg.Record) -> Session:
    row = await connection.fetchrow(STATEMENTS["touch_session"], used["session_id"])
    if row is None or row["is_revoked"] or not row["user_enabled"]:
        message = "The session is revoked: sign in again."
        raise TokenRevoked(message)
    if not used["is_valid"]:
        message = "The refresh token is expired: sign in again."
        raise TokenExpired(message)
    return Session.from_row(row)


def _new_token() -> str:
    return secrets.token_urlsafe(32)


def _hash(token: str) -> bytes:
    """Return the SHA-256: no slow hash is needed, because a token has 256 random bits."""
    return hashlib.sha256(token.encode()).digest()
