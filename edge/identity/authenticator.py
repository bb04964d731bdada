"""Authentication by bearer token or cookie: signature, lifetime and revocation, without a query per request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chassis.caller import ANONYMOUS, CallContext, Caller, set_current_request
from chassis.errors import TokenInvalid, Unauthenticated
from chassis.store_errors import STORE_FAILURES, translated
from edge.http.cookies import name_of
from edge.http.methods import SAFE_METHODS
from edge.http.request_context import current_request_context
from edge.identity.browser_sessions import CSRF_HEADER

if TYPE_CHECKING:
    from litestar.connection import ASGIConnection

    from chassis.revocation.listing import RevocationList
    from chassis.tokens import TokenVerifier
    from edge.identity.browser_sessions import BrowserSessions

_SCHEME = "bearer"


class Authenticator:
    """Return the caller of a request."""

    def __init__(self, verifier: TokenVerifier, revocations: RevocationList, browsers: BrowserSessions) -> None:
        """Verify tokens with the key set and the list of revocations in memory."""
        self._verifier = verifier
        self._revocations = revocations
        self._browsers = browsers

    async def identify(self, connection: ASGIConnection[Any, Any, Any, Any]) -> Caller:
        """Return the caller, anonymous without token and cookie, and store it in the request context.

        Raise ``TokenInvalid``, ``TokenExpired``, ``TokenRevoked``, ``CsrfTokenMissing``; ``StoreUnavailable`` when the
        session of a cookie cannot be read; ``RevocationUnknown`` for a write while the list of revocations is not
        current. A bearer token takes precedence over a cookie.
        """
        context = current_request_context()
        if context.bearer:
            return context.caller
        header = connection.headers.get("authorization", "")
        cookie = connection.cookies.get(name_of(secure=context.secure), "")
        if header:
            token = _bearer(header)
            context.caller = await self.verify(token)
        elif cookie:
            context.caller, token = await self._from_cookie(connection, cookie)
            context.by_cookie = True
        else:
            return ANONYMOUS
        if str(connection.scope.get("method", "GET")) not in SAFE_METHODS:
            await self._revocations.require_known()
        context.bearer = token
        set_current_request(CallContext(context.caller, context.request_id, context.traceparent))
        return context.caller

    def recognise(self, authorization: str, cookies: str, *, secure: bool) -> Caller | None:
        """Return the caller of a token, or of a cookie whose session is cached; ``None`` otherwise."""
        if authorization:
            try:
                caller = self._verifier.verify(_bearer(authorization))
                self._revocations.check(caller)
            except Unauthenticated:
                return None
            return caller
        name = name_of(secure=secure)
        for item in cookies.split(";"):
            found, _, value = item.partition("=")
            if found.strip() == name:
                session = self._browsers.remembered(value.strip())
                if session is not None:
                    return Caller(str(session.user_id), session.username, roles=frozenset(session.roles))
        return None

    async def _from_cookie(self, connection: ASGIConnection[Any, Any, Any, Any], cookie: str) -> tuple[Caller, str]:
        method = str(connection.scope.get("method", "GET"))
        try:
            found = await self._browsers.identify(cookie, method, connection.headers.get(CSRF_HEADER, ""))
        except STORE_FAILURES as error:
            raise translated(error) or error from error
        except Unauthenticated:
            current_request_context().stale_cookie = True
            raise
        return found.caller, found.access_token

    async def verify(self, token: str) -> Caller:
        """Return the caller of a token; raise ``Unauthenticated`` when it is invalid, expired or revoked."""
        caller = self._verifier.verify(token)
        self._revocations.check(caller)
        return caller


def _bearer(header: str) -> str:
    scheme, _, token = header.partition(" ")
    if scheme.lower() != _SCHEME or not token.strip():
        message = "The Authorization header must have the form: Bearer <token>."
        raise TokenInvalid(message)
    return token.strip()
