"""``/auth``: sign in, refresh, sign out."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import msgspec
from litestar import Request, Response, Router, post
from litestar.di import NamedDependency
from litestar.params import Body, SkipValidation

from edge.exchange import current_exchange
from edge.identity.accounts import Accounts, Grant
from edge.identity.guards import known
from edge.json_bodies import JsonBody
from edge.openapi import refusals
from edge.representation import reply

TheAccounts: TypeAlias = NamedDependency[SkipValidation[Accounts]]


class Credentials(msgspec.Struct, forbid_unknown_fields=True):
    """A user name and its password."""

    username: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    password: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class RefreshRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The refresh token of the answer before."""

    refresh_token: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class LogoutRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A refresh token whose session is to end, for clients whose access token is over."""

    refresh_token: Annotated[str, msgspec.Meta(max_length=200)] = ""


@post(
    "/login",
    dto=JsonBody[Credentials],
    return_dto=None,
    status_code=200,
    summary="Sign in",
    responses=refusals(400, 401, 413, 422, 429, 503),
)
async def login(
    request: Request[Any, Any, Any], accounts: TheAccounts, data: Annotated[Credentials, Body()]
) -> Response[Grant]:
    """An access token for 10 minutes and a refresh token for one use."""
    client_ip = current_exchange().client_ip
    user_agent = request.headers.get("user-agent", "")
    return reply(await accounts.login(data.username, data.password, client_ip, user_agent))


@post(
    "/refresh",
    dto=JsonBody[RefreshRequest],
    return_dto=None,
    status_code=200,
    summary="Get the next tokens",
    responses=refusals(400, 401, 413, 422, 503),
)
async def refresh(accounts: TheAccounts, data: Annotated[RefreshRequest, Body()]) -> Response[Grant]:
    """New tokens for a refresh token. Bringing the same one twice ends the session."""
    return reply(await accounts.refresh(data.refresh_token))


@post(
    "/logout",
    dto=JsonBody[LogoutRequest],
    return_dto=None,
    status_code=204,
    guards=[known],
    summary="Sign out",
    responses=refusals(400, 401, 413, 422, 503),
)
async def logout(accounts: TheAccounts, data: Annotated[LogoutRequest | None, Body()] = None) -> None:
    """End the session of the access token, of the refresh token, or of both."""
    await accounts.logout(current_exchange().caller, data.refresh_token if data else "")


auth_router = Router(path="/auth", route_handlers=[login, refresh, logout], tags=["auth"])
