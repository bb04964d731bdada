"""Sign-in, refresh and sign-out: use cases over users, sessions and attempts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final
from uuid import UUID

import msgspec

from chassis.caller import Caller
from chassis.errors import TokenInvalid, TokenRevoked
from edge.http.errors import TooManyRequests
from edge.identity.roles import permissions_of
from edge.identity.sessions import RefreshTokenReused
from edge.metrics import LOGINS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chassis.tokens import SigningKey
    from edge.identity.lockout import Lockout
    from edge.identity.passwords import Passwords
    from edge.identity.security_events import SecurityEvents
    from edge.identity.sessions import Session, Sessions
    from edge.identity.users import User, Users

ACCESS_SECONDS: Final = 600


class Grant(msgspec.Struct):
    """The response to a sign-in or a refresh. The refresh token is valid for one use."""

    access_token: str
    token_type: str
    expires_in: int
    refresh_token: str


class Accounts:
    """Sign-in for people and programs."""

    def __init__(
        self,
        *,
        users: Users,
        sessions: Sessions,
        passwords: Passwords,
        lockout: Lockout,
        events: SecurityEvents,
        key: SigningKey,
    ) -> None:
        """Use the parts of one edge, and sign tokens with ``key``."""
        self._users = users
        self._sessions = sessions
        self._passwords = passwords
        self._lockout = lockout
        self._events = events
        self._key = key

    async def login(self, username: str, password: str, client_ip: str, user_agent: str) -> Grant:
        """Begin a session and return its tokens; raise ``TokenInvalid``, or ``TooManyRequests`` while locked out."""
        return self._grant(*await self.begin_session(username, password, client_ip, user_agent))

    async def begin_session(
        self, username: str, password: str, client_ip: str, user_agent: str
    ) -> tuple[User, Session, str]:
        """Return the user, the new session and its first refresh token; raise as ``login`` does."""
        user: User | None = None

        async def check() -> bool:
            nonlocal user
            user = await self._users.by_name(username)
            is_right = await self._passwords.verify(user.password_hash if user else None, password)
            return is_right and user is not None and user.disabled_at is None

        try:
            succeeded = await self._lockout.attempt(username, client_ip, check)
        except TooManyRequests:
            LOGINS.labels("locked").inc()
            await self._count_attempt("login_locked", username, await self._users.by_name(username))
            raise
        begun = None
        if succeeded and user is not None:
            begun = await self._sessions.begin(user.user_id, user.password_hash, client_ip, user_agent)
        if begun is None or user is None:
            LOGINS.labels("failure").inc()
            await self._count_attempt("login_failed", username, user)
            message = "The user name or the password is wrong."
            raise TokenInvalid(message)
        LOGINS.labels("success").inc()
        user = replace(user, roles=begun.roles)
        await self._events.record("login_succeeded", caller=caller_of(user, begun.session))
        return user, begun.session, begun.refresh_token

    async def refresh(self, refresh_token: str) -> Grant:
        """Return the next tokens of a session, with the current roles of its user."""
        try:
            session, next_token = await self._sessions.rotate(refresh_token)
        except RefreshTokenReused as error:
            LOGINS.labels("reused").inc()
            session_id = str(error.session_id)
            await self._events.count("refresh_token_reused", alike=session_id, details={"session_id": session_id})
            message = "The refresh token was already used, so its session is revoked: sign in again."
            raise TokenRevoked(message) from None
        user = await self._users.by_id(session.user_id)
        if user is None:
            message = "The session is revoked: sign in again."
            raise TokenRevoked(message)
        LOGINS.labels("refreshed").inc()
        return self._grant(user, session, next_token)

    async def logout(self, caller: Caller, refresh_token: str) -> None:
        """Revoke the caller's session, and that of a refresh token if one is given; a revoked session is no error."""
        if caller.session_id:
            await self._sessions.revoke(_session_uuid(caller), "signed out")
        ended = await self._sessions.revoke_by_token(refresh_token, "signed out") if refresh_token else None
        if not caller.is_anonymous or ended is not None:
            alike = caller.session_id or str(ended)
            await self._events.count("logged_out", alike=alike, caller=caller)

    async def _count_attempt(self, kind: str, username: str, user: User | None) -> None:
        """Count the attempts of each account apart, and those on unknown names together."""
        await self._events.count(kind, alike="" if user is None else str(user.user_id), username=username)

    def _grant(self, user: User, session: Session, refresh_token: str) -> Grant:
        access = mint_access_token(self._key, user, session, user.roles)
        return Grant(access, "Bearer", ACCESS_SECONDS, refresh_token)


def _session_uuid(caller: Caller) -> UUID:
    return UUID(caller.session_id)


def caller_of(user: User, session: Session) -> Caller:
    """Return the caller of a session, for its security events."""
    return Caller(str(user.user_id), user.username, str(session.session_id), frozenset(user.roles))


def mint_access_token(key: SigningKey, user: User, session: Session, roles: Sequence[str]) -> str:
    """Return an access token of a session with some roles; it permits at most what the user's roles permit."""
    return key.mint(
        subject=str(user.user_id),
        name=user.username,
        roles=roles,
        permissions=permissions_of(roles) & permissions_of(user.roles),
        session_id=str(session.session_id),
        ttl_seconds=ACCESS_SECONDS,
        not_before=user.tokens_not_before,
    )
