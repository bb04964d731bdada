"""From a bearer token to a caller: signature, time, and whether the session still counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from chassis.caller import ANONYMOUS, Caller, RequestContext, set_current_request
from chassis.database import CONNECTION_LOST
from chassis.errors import StoreUnavailable, TokenInvalid, TokenRevoked, Unauthenticated
from edge.exchange import current_exchange
from edge.identity.browser_sessions import CSRF_HEADER
from edge.identity.cookies import name_of

if TYPE_CHECKING:
    from litestar.connection import ASGIConnection

    from chassis.tokens import TokenVerifier
    from edge.identity.browser_sessions import BrowserSessions
    from edge.identity.sessions import Sessions

_SCHEME = "bearer"


class Authenticator:
    """Tells who asks."""

    def __init__(self, verifier: TokenVerifier, sessions: Sessions, browsers: BrowserSessions) -> None:
        """Verify with the key set, and ask the session store each time."""
        self._verifier = verifier
        self._sessions = sessions
        self._browsers = browsers

    async def identify(self, connection: ASGIConnection[Any, Any, Any, Any]) -> Caller:
        """The caller of a request, anonymous without token and cookie; noted in the exchange for all that follows.

        Raises ``TokenInvalid``, ``TokenExpired``, ``TokenRevoked``, ``CsrfTokenMissing``; ``StoreUnavailable`` when
        sessions cannot be read. A bearer token goes before a cookie.
        """
        exchange = current_exchange()
        if exchange.bearer:
            return exchange.caller
        header = connection.headers.get("authorization", "")
        cookie = connection.cookies.get(name_of(secure=exchange.secure), "")
        if header:
            token = _bearer(header)
            exchange.caller = await self.verify(token)
        elif cookie:
            exchange.caller, token = await self._from_cookie(connection, cookie)
            exchange.by_cookie = True
        else:
            return ANONYMOUS
        exchange.bearer = token
        set_current_request(RequestContext(exchange.caller, exchange.request_id, exchange.traceparent))
        return exchange.caller

    async def _from_cookie(self, connection: ASGIConnection[Any, Any, Any, Any], cookie: str) -> tuple[Caller, str]:
        method = str(connection.scope.get("method", "GET"))
        try:
            found = await self._browsers.identify(cookie, method, connection.headers.get(CSRF_HEADER, ""))
        except CONNECTION_LOST as error:
            raise _store_away() from error
        except Unauthenticated:
            current_exchange().stale_cookie = True
            raise
        return found.caller, found.access_token

    async def verify(self, token: str) -> Caller:
        """The caller behind a token whose session still counts. A token without a session is a service's own."""
        caller = self._verifier.verify(token)
        if caller.session_id and not await self._is_live(caller.session_id):
            message = "The session was ended: sign in again."
            raise TokenRevoked(message)
        return caller

    async def _is_live(self, session_id: str) -> bool:
        try:
            UUID(session_id)
        except ValueError:
            return False
        try:
            return await self._sessions.is_live(session_id)
        except CONNECTION_LOST as error:
            raise _store_away() from error


def _store_away() -> StoreUnavailable:
    return StoreUnavailable("The store of sessions is away.", retry_after_seconds=1)


def _bearer(header: str) -> str:
    scheme, _, token = header.partition(" ")
    if scheme.lower() != _SCHEME or not token.strip():
        message = "The Authorization header must have the form: Bearer <token>."
        raise TokenInvalid(message)
    return token.strip()
