"""``/admin/users`` and ``/admin/sessions``: accounts, roles and open sessions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response, get
from litestar.params import Body, FromPath, FromQuery

from edge.http.representation import reply
from edge.identity.guards import permits
from edge.identity.sessions import Session
from edge.identity.user_bodies import NewUser, UserChange, UserList, UserView, user_view
from edge.openapi.document import ADMIN_READ, ADMIN_WRITE, refusals
from edge.openapi.operations import Described
from edge.routes.dependencies import TheUserAdministration
from edge.routes.write import unlogged_write_route

UNLOGGED = "accounts and sessions have no change log: every read of them goes to the database"


class SessionView(msgspec.Struct):
    """An open session."""

    session_id: UUID
    user_id: UUID
    username: str
    client_ip: str
    user_agent: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime


class SessionList(msgspec.Struct):
    """Open sessions, newest first, at most 200."""

    items: list[SessionView]
    next_page_token: str = ""


@get(
    "/users",
    guards=[permits("users:read")],
    summary="Lists users",
    response_description="All accounts.",
    operation_class=Described,
    responses=refusals(*ADMIN_READ),
)
async def list_users(administration: TheUserAdministration) -> Response[UserList]:
    """Returns every user, by name."""
    return reply(UserList([user_view(user) for user in await administration.users()]))


@unlogged_write_route(
    "POST",
    "/users",
    reason=UNLOGGED,
    guard=permits("users:write"),
    summary="Creates a user",
    returns="The new account.",
    status=201,
    statuses=ADMIN_WRITE,
)
async def create_user(administration: TheUserAdministration, data: Annotated[NewUser, Body()]) -> Response[UserView]:
    """Returns the new user; 409 when the name is taken."""
    return reply(user_view(await administration.create(data.username, data.password, data.roles)), status=201)


@unlogged_write_route(
    "PATCH",
    "/users/{user_id:uuid}",
    reason=UNLOGGED,
    guard=permits("users:write"),
    summary="Updates a user",
    returns="The account after the update.",
    statuses=ADMIN_WRITE,
)
async def change_user(
    administration: TheUserAdministration, user_id: FromPath[UUID], data: Annotated[UserChange, Body()]
) -> Response[UserView]:
    """Returns the updated user; 409 when no enabled administrator would remain."""
    changed = await administration.change(user_id, password=data.password, roles=data.roles, disabled=data.disabled)
    return reply(user_view(changed))


@get(
    "/sessions",
    guards=[permits("users:read")],
    summary="Lists the sessions of a user",
    response_description="The open sessions.",
    operation_class=Described,
    responses=refusals(*ADMIN_READ),
)
async def list_sessions(
    administration: TheUserAdministration, user_id: FromQuery[UUID | None] = None
) -> Response[SessionList]:
    """Returns the open sessions of all users, or of one."""
    return reply(SessionList([_session(session) for session in await administration.sessions(user_id)]))


@unlogged_write_route(
    "DELETE",
    "/sessions/{session_id:uuid}",
    reason=UNLOGGED,
    guard=permits("users:write"),
    summary="Revokes a session",
    returns="The session is revoked.",
    status=204,
    statuses=(*ADMIN_READ, 415),
)
async def end_session(administration: TheUserAdministration, session_id: FromPath[UUID]) -> None:
    """Ends a session: its tokens are rejected by every process within a second."""
    await administration.end_session(session_id)


def _session(session: Session) -> SessionView:
    return SessionView(
        session.session_id,
        session.user_id,
        session.username,
        session.client_ip,
        session.user_agent,
        session.created_at,
        session.last_seen_at,
        session.expires_at,
    )
