"""Guards of routes: authentication and permission, before a body is read or a query runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from chassis.caller import ANONYMOUS
from chassis.errors import PermissionMissing, TokenMissing, Unauthenticated
from edge.http.request_context import current_request_context
from edge.metrics import DENIALS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from litestar.connection import ASGIConnection
    from litestar.handlers import BaseRouteHandler

    from chassis.caller import Caller
    from edge.identity.authenticator import Authenticator
    from edge.identity.security_events import SecurityEvents

    Guard = Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], Awaitable[None]]


async def known(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Admit everyone; a token must be valid. A browser always sends its cookie: with an ended session it is a guest."""
    del handler
    await _identify(connection, or_guest=True)


async def signed_in(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Admit any caller with a valid token."""
    del handler
    caller = await _identify(connection)
    if caller.is_anonymous:
        await _deny(connection, TokenMissing("Authentication required: send a token."))


def permits(permission: str) -> Guard:
    """Return a guard that requires a permission: 401 without a token, 403 without the permission."""

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        del handler
        caller = await _identify(connection)
        if caller.may(permission):
            return
        facts = {"permission": permission}
        if caller.is_anonymous:
            await _deny(connection, TokenMissing("Authentication required: send a token.", metadata=facts))
        message = f"Permission denied: {permission} is required."
        await _deny(connection, PermissionMissing(message, metadata=facts))

    guard.permission = permission  # type: ignore[attr-defined]
    return guard


async def _identify(connection: ASGIConnection[Any, Any, Any, Any], *, or_guest: bool = False) -> Caller:
    authenticator: Authenticator = connection.app.state.authenticator
    try:
        return await authenticator.identify(connection)
    except Unauthenticated as error:
        if or_guest and current_request_context().stale_cookie:
            return ANONYMOUS
        await _deny(connection, error)


async def _deny(connection: ASGIConnection[Any, Any, Any, Any], error: Unauthenticated | PermissionMissing) -> NoReturn:
    """Record the denial and raise it. Requests without a token are only counted: they belong to no account."""
    DENIALS.labels(error.reason).inc()
    events: SecurityEvents = connection.app.state.security_events
    if not isinstance(error, TokenMissing):
        caller = current_request_context().caller
        method = str(connection.scope.get("method", ""))
        details = {"reason": error.reason, "method": method, "path": connection.scope["path"], **error.metadata}
        route = str(connection.scope.get("path_template", ""))
        alike = "" if caller.is_anonymous else f"{caller.user_id} {error.reason} {method} {route}"
        await events.count("denied", alike=alike, caller=caller, details=details)
    raise error
