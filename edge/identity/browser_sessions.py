"""Sessions of browsers: a signed cookie that scripts cannot read, and a CSRF token that other sites cannot send.

The session of a cookie and the roles of its user are read from the database and cached for a short time, or until they
are revoked. The edge mints a short access token for the services, which treat a browser as any client.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from uuid import UUID

from chassis.caller import Caller
from chassis.errors import TokenInvalid, TokenRevoked
from edge.http.errors import CsrfTokenMissing
from edge.http.methods import SAFE_METHODS
from edge.identity.accounts import ACCESS_SECONDS
from edge.identity.roles import permissions_of

if TYPE_CHECKING:
    from chassis.revocation.listing import RevocationList
    from chassis.tokens import SigningKey
    from edge.identity.sessions import BrowserSession, Sessions

CSRF_HEADER: Final = "X-CSRF-Token"

SESSION_ID_LENGTH: Final = 36

_REMEMBERED_TOKENS: Final = 2000
_RENEW_SECONDS: Final = ACCESS_SECONDS / 2
_REMEMBERED_SESSIONS: Final = 10_000
_READ_AGAIN_SECONDS: Final = 30.0  # the use of a session is noted once a minute


@dataclass(frozen=True, slots=True)
class BrowserCaller:
    """The caller of a cookie, and the access token for the services."""

    caller: Caller
    access_token: str


class BrowserSessions:
    """Session cookies and their CSRF protection."""

    def __init__(self, sessions: Sessions, key: SigningKey, revocations: RevocationList) -> None:
        """Derive the secret of cookies from the signing key, which every edge has."""
        self._sessions = sessions
        self._revocations = revocations
        self._known: dict[UUID, tuple[BrowserSession, float]] = {}
        self._key = key
        self._secret = hashlib.blake2b(key.pem(), digest_size=32, person=b"browser-session").digest()
        self._minted: dict[tuple[str, frozenset[str], float], tuple[str, float]] = {}

    def cookie_for(self, session_id: UUID) -> str:
        """Return the value of the cookie of a session."""
        return f"{session_id}.{self._mac('cookie', str(session_id))}"

    def csrf_token(self, session_id: str) -> str:
        """Return the value of ``X-CSRF-Token`` that unsafe requests of a session must send."""
        return self._mac("csrf", session_id)

    def session_of(self, cookie: str) -> UUID:
        """Return the session that a cookie names; raise ``TokenInvalid`` when its signature is wrong."""
        session_id, _, proof = cookie.partition(".")
        if not _same(proof, self._mac("cookie", session_id)):
            message = "The session cookie is invalid: sign in again."
            raise TokenInvalid(message)
        return UUID(session_id)

    async def identify(self, cookie: str, method: str, csrf: str) -> BrowserCaller:
        """Return the caller of a cookie.

        Raise ``TokenInvalid``, ``TokenRevoked``, and ``CsrfTokenMissing`` for an unsafe method without the token.
        """
        session_id = self.session_of(cookie)
        found = await self._session(session_id)
        if method not in SAFE_METHODS and not _same(csrf, self.csrf_token(str(session_id))):
            message = f"A request with a session cookie that changes something requires the header {CSRF_HEADER}."
            raise CsrfTokenMissing(message)
        roles = frozenset(found.roles)
        caller = Caller(str(found.user_id), found.username, str(session_id), roles, permissions_of(roles))
        self._revocations.check(caller)
        return BrowserCaller(caller, self._access_token(caller, found))

    def remembered(self, cookie: str) -> BrowserSession | None:
        """Return the session of a cookie if it is cached; read nothing."""
        session_id, _, proof = cookie.partition(".")
        if len(session_id) != SESSION_ID_LENGTH or not _same(proof, self._mac("cookie", session_id)):
            return None
        found, read_at = self._known.get(UUID(session_id), (None, 0.0))
        return found if found is not None and time.monotonic() - read_at < _READ_AGAIN_SECONDS else None

    async def _session(self, session_id: UUID) -> BrowserSession:
        """Return the session, read again when it was read too long ago or before its user's roles changed."""
        found, read_at = self._known.get(session_id, (None, 0.0))
        if found is not None and time.monotonic() - read_at < _READ_AGAIN_SECONDS and self._holds(found):
            return found
        found = await self._sessions.browser_session(session_id)
        if found is None:
            self._known.pop(session_id, None)
            message = "The session is revoked: sign in again."
            raise TokenRevoked(message)
        if len(self._known) >= _REMEMBERED_SESSIONS:
            self._known.clear()
        self._known[session_id] = found, time.monotonic()
        return found

    def _holds(self, found: BrowserSession) -> bool:
        changed_at = self._revocations.not_before(str(found.user_id))
        return found.read_at.timestamp() > changed_at and found.expires_at.timestamp() > time.time()

    def _access_token(self, caller: Caller, found: BrowserSession) -> str:
        key = (caller.session_id, caller.roles, self._revocations.not_before(caller.user_id))
        known = self._minted.get(key)
        if known is not None and known[1] > time.monotonic():
            return known[0]
        if len(self._minted) >= _REMEMBERED_TOKENS:
            self._minted.clear()
        token = self._key.mint(
            subject=caller.user_id,
            name=caller.username,
            roles=caller.roles,
            permissions=caller.permissions,
            session_id=caller.session_id,
            ttl_seconds=ACCESS_SECONDS,
            not_before=found.tokens_not_before,
        )
        self._minted[key] = token, time.monotonic() + _RENEW_SECONDS
        return token

    def _mac(self, use: str, session_id: str) -> str:
        return hmac.new(self._secret, f"{use}\n{session_id}".encode(), hashlib.sha256).hexdigest()


def _same(given: str, expected: str) -> bool:
    """Compare in constant time; ``given`` may be any text."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())
