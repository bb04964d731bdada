"""``users``: create accounts, reset passwords and end lock-outs without REST, by the same administration."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final, get_args

import msgspec

from chassis.logs import visible
from edge.identity.administration import UserAdministration
from edge.identity.lockout import Lockout
from edge.identity.operator import (
    OperatorError,
    Outcome,
    check_role,
    find_user,
    fits,
    operator_database,
    operator_events,
)
from edge.identity.passwords import Passwords
from edge.identity.sessions import Sessions
from edge.identity.user_bodies import RoleName, UserList, Username, user_view
from edge.identity.users import Users

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chassis.database import Database
    from edge.identity.users import User

GENERATED_BYTES: Final = 15  # 20 characters; the first administrator's password is as long
WRONG_NAME: Final = "is not a valid name: use 1 to 64 of A-Z a-z 0-9 . _ @ and -"


async def create_user(dsn: str, username: str, roles: Sequence[str], password: str | None) -> Outcome:
    """Create a user; without a password one is generated and is on the last line."""
    if not fits(username, Username):
        message = f'"{username}" {WRONG_NAME}.'
        raise OperatorError(message)
    for role in roles:
        check_role(role, get_args(RoleName))
    chosen = _chosen(password)
    async with operator_database(dsn) as database:
        user = await _administration(database).create(username, chosen, roles)
    return _outcome(f"Created user {visible(user.username)} with roles {_listed(user.roles)}.", user, password, chosen)


async def reset_password(dsn: str, username: str, password: str | None) -> Outcome:
    """Change a password, end the user's sessions and its lock-out; a generated password is on the last line."""
    chosen = _chosen(password)
    async with operator_database(dsn) as database:
        administration, user = _administration(database), await find_user(Users(database), username)
        user = await administration.change(user.user_id, password=chosen, roles=None, disabled=None)
    return _outcome(
        f"Changed the password of user {visible(user.username)} and ended its sessions.", user, password, chosen
    )


async def unlock_user(dsn: str, username: str) -> Outcome:
    """End the lock-out of an account."""
    async with operator_database(dsn) as database:
        administration, user = _administration(database), await find_user(Users(database), username)
        cleared = await administration.unlock(user)
    attempts = "1 failed attempt" if cleared == 1 else f"{cleared} failed attempts"
    return Outcome(f"Cleared {attempts} of user {visible(user.username)}.", {**_view(user), "failed_attempts": cleared})


async def list_users(dsn: str) -> Outcome:
    """List every user, by name."""
    async with operator_database(dsn) as database:
        users = await _administration(database).users()
    width = max((len(user.username) for user in users), default=0)
    # Roles that were stored by hand may be any text.
    lines = [visible(f"{user.username:<{width}}  {_state(user):<8}  {_listed(user.roles)}") for user in users]
    return Outcome("\n".join(lines), msgspec.to_builtins(UserList([user_view(user) for user in users])))


def _administration(database: Database) -> UserAdministration:
    users, sessions, lockout = Users(database), Sessions(database), Lockout(database)
    return UserAdministration(users, sessions, Passwords(), lockout, operator_events(database))


def _chosen(password: str | None) -> str:
    """Return the given password, or a generated one."""
    return secrets.token_urlsafe(GENERATED_BYTES) if password is None else password


def _outcome(text: str, user: User, given: str | None, chosen: str) -> Outcome:
    if given is not None:
        return Outcome(text, _view(user))
    return Outcome(f"{text} The password is shown only now:\n{chosen}", {**_view(user), "password": chosen})


def _view(user: User) -> dict[str, Any]:
    view: dict[str, Any] = msgspec.to_builtins(user_view(user))
    return view


def _listed(roles: Sequence[str]) -> str:
    return ", ".join(roles) or "no role"


def _state(user: User) -> str:
    return "enabled" if user.disabled_at is None else "disabled"
