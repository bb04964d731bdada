"""Users as JSON: request bodies and views, shared by REST and the operator commands."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal
from uuid import UUID

import msgspec

from chassis.password_policy import MAX_LENGTH, MIN_LENGTH

if TYPE_CHECKING:
    from edge.identity.users import User

RoleName = Literal["customer", "support", "stock_manager", "content_editor", "auditor", "admin"]
# `$` alone matches before a line feed at the end.
Username = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._@-]{1,64}(?!\n)$")]
Password = Annotated[str, msgspec.Meta(min_length=MIN_LENGTH, max_length=MAX_LENGTH)]
Roles = Annotated[list[RoleName], msgspec.Meta(max_length=10)]


class NewUser(msgspec.Struct, forbid_unknown_fields=True):
    """A user to create."""

    username: Username
    password: Password
    roles: Roles = []


class UserChange(msgspec.Struct, forbid_unknown_fields=True):
    """What to change. A change ends the user's open sessions, so that it holds at once; no change does nothing."""

    password: Password | None = None
    roles: Roles | None = None
    disabled: bool | None = None


class UserView(msgspec.Struct):
    """A user, without the password."""

    user_id: UUID
    username: str
    roles: list[str]
    disabled_at: datetime | None
    created_at: datetime


class UserList(msgspec.Struct):
    """Every user, by name."""

    items: list[UserView]
    next_page_token: str = ""


def user_view(user: User) -> UserView:
    """Return the view of a stored user."""
    return UserView(user.user_id, user.username, list(user.roles), user.disabled_at, user.created_at)
