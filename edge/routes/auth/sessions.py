"""``/auth``: sign in, refresh, sign out."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import msgspec
from litestar import Request, Response, Router, get
from litestar.di import NamedDependency
from litestar.params import Body, SkipValidation

from edge.http.cookies import cleared, session_cookie
from edge.http.representation import PRIVATE, reply
from edge.http.request_context import current_request_context
from edge.identity.accounts import Accounts, Grant
from edge.identity.browser_sessions import BrowserSessions
from edge.identity.guards import known, signed_in
from edge.identity.registration import Registration
from edge.identity.roles import permissions_of
from edge.identity.sessions import ABSOLUTE
from edge.identity.user_bodies import Password, Username, UserView, user_view
from edge.openapi.document import SIGN_IN, refusals
from edge.openapi.operations import Described
from edge.routes.write import unlogged_write_route

TheAccounts: TypeAlias = NamedDependency[SkipValidation[Accounts]]
TheBrowsers: TypeAlias = NamedDependency[SkipValidation[BrowserSessions]]

TheRegistration: TypeAlias = NamedDependency[SkipValidation[Registration]]


UNLOGGED = "sessions and accounts have no change log: every check of them goes to the database"


class Credentials(msgspec.Struct, forbid_unknown_fields=True):
    """A user name and password."""

    username: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    password: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class RefreshRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The refresh token of the previous response."""

    refresh_token: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class LogoutRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A refresh token whose session to end, for clients with an expired access token."""

    refresh_token: Annotated[str, msgspec.Meta(max_length=200)] = ""


class NewCustomer(msgspec.Struct, forbid_unknown_fields=True):
    """The account to register."""

    username: Username
    password: Password


class BrowserSessionView(msgspec.Struct):
    """The signed-in user, its permissions, and the token to send as ``X-CSRF-Token`` with writes.

    A guest has no name, and nothing else is said.
    """

    username: str | None
    roles: list[str] | msgspec.UnsetType = msgspec.UNSET
    permissions: list[str] | msgspec.UnsetType = msgspec.UNSET
    csrf_token: str | msgspec.UnsetType = msgspec.UNSET


@unlogged_write_route(
    "POST",
    "/register",
    reason=UNLOGGED,
    summary="Registers a customer",
    returns="The new account.",
    status=201,
    statuses=(*SIGN_IN, 403, 409, 429),
)
async def register(registration: TheRegistration, data: Annotated[NewCustomer, Body()]) -> Response[UserView]:
    """Returns the new account, with the role `customer`; sign in next. 403 when registration is disabled."""
    customer = await registration.register(data.username, data.password, current_request_context().client_ip)
    return reply(user_view(customer), status=201)


@unlogged_write_route(
    "POST",
    "/login",
    reason=UNLOGGED,
    summary="Signs in and returns tokens",
    returns="Access and refresh token.",
    statuses=(*SIGN_IN, 429),
)
async def login(
    request: Request[Any, Any, Any], accounts: TheAccounts, data: Annotated[Credentials, Body()]
) -> Response[Grant]:
    """Returns an access token for 10 minutes and a refresh token for one use."""
    client_ip = current_request_context().client_ip
    user_agent = request.headers.get("user-agent", "")
    return reply(await accounts.login(data.username, data.password, client_ip, user_agent))


@unlogged_write_route(
    "POST",
    "/refresh",
    reason=UNLOGGED,
    summary="Rotates a refresh token and returns new tokens",
    returns="New access and refresh token.",
    statuses=SIGN_IN,
)
async def refresh(accounts: TheAccounts, data: Annotated[RefreshRequest, Body()]) -> Response[Grant]:
    """Returns new tokens for a refresh token. Using a refresh token twice ends the session."""
    return reply(await accounts.refresh(data.refresh_token))


@unlogged_write_route(
    "POST",
    "/logout",
    reason=UNLOGGED,
    guard=known,
    summary="Revokes a session",
    returns="The session is revoked.",
    status=204,
    statuses=SIGN_IN,
)
async def logout(accounts: TheAccounts, data: Annotated[LogoutRequest | None, Body()] = None) -> None:
    """Ends the session of the access token, of the refresh token, or of both."""
    await accounts.logout(current_request_context().caller, data.refresh_token if data else "")


@unlogged_write_route(
    "POST",
    "/session",
    reason=UNLOGGED,
    summary="Signs in a browser and sets its session cookie",
    returns="The signed-in account; the session cookie is set.",
    status=201,
    statuses=(*SIGN_IN, 429),
)
async def open_browser_session(
    request: Request[Any, Any, Any],
    accounts: TheAccounts,
    browsers: TheBrowsers,
    data: Annotated[Credentials, Body()],
) -> Response[BrowserSessionView]:
    """Starts a session in an HttpOnly cookie; returns the CSRF token to send with writes."""
    client_ip, user_agent = current_request_context().client_ip, request.headers.get("user-agent", "")
    user, session, _ = await accounts.begin_session(data.username, data.password, client_ip, user_agent)
    cookie = browsers.cookie_for(session.session_id)
    response = reply(
        BrowserSessionView(
            user.username,
            sorted(user.roles),
            sorted(permissions_of(user.roles)),
            browsers.csrf_token(str(session.session_id)),
        ),
        status=201,
    )
    response.set_cookie(
        session_cookie(cookie, secure=current_request_context().secure, max_age=int(ABSOLUTE.total_seconds()))
    )
    return response


@get(
    "/session",
    guards=[known],
    summary="Returns the account of the browser session",
    response_description="The signed-in account; for a guest, `username` is null.",
    operation_class=Described,
    responses=refusals(400, 401, 503),
)
async def get_browser_session(browsers: TheBrowsers) -> Response[BrowserSessionView]:
    """Returns the caller, by cookie or by token, and the CSRF token of its session; `{"username": null}` to a guest."""
    caller = current_request_context().caller
    if caller.is_anonymous:
        return reply(BrowserSessionView(None))
    csrf_token = browsers.csrf_token(caller.session_id)
    return reply(BrowserSessionView(caller.username, sorted(caller.roles), sorted(caller.permissions), csrf_token))


@unlogged_write_route(
    "DELETE",
    "/session",
    reason=UNLOGGED,
    guard=signed_in,
    summary="Ends the browser session",
    returns="The session is revoked and its cookie removed.",
    status=204,
    statuses=(*SIGN_IN, 403),
)
async def close_browser_session(accounts: TheAccounts) -> Response[None]:
    """Ends the session and removes the cookie."""
    await accounts.logout(current_request_context().caller, "")
    response: Response[None] = Response(None, status_code=204)
    response.set_cookie(cleared(secure=current_request_context().secure))
    return response


auth_router = Router(
    path="/auth",
    response_headers={"Cache-Control": PRIVATE},
    route_handlers=[
        register,
        login,
        refresh,
        logout,
        open_browser_session,
        get_browser_session,
        close_browser_session,
    ],
    tags=["auth"],
)
