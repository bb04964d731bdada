"""``token`` and ``revoke-key``: access tokens without a password, and the end of a process's key."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from chassis.tokens import SigningKey
from edge.identity.accounts import ACCESS_SECONDS, caller_of, mint_access_token
from edge.identity.operator import OperatorError, check_role, find_user, operator_database, operator_events
from edge.identity.roles import ROLES
from edge.identity.sessions import Sessions
from edge.identity.sql import STATEMENTS
from edge.identity.users import Users

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.identity.users import User
    from edge.settings import TokenSettings

USER_AGENT: Final = "partstream token"


async def issue_token(settings: TokenSettings, username: str | None, role: str | None) -> str:
    """Return an access token of a new session of a user, or of the first enabled administrator.

    The session expires with the token and is listed and revoked like any other. With ``role`` the token carries that
    role alone: the edge and the services read permissions from the token. Raise ``OperatorError``.
    """
    key = _signing_key(settings.signing_key_file)
    async with operator_database(settings.database_url) as database:
        user = await _user(Users(database), username)
        roles = _roles(user, role)
        lifetime = timedelta(seconds=ACCESS_SECONDS)
        session = await Sessions(database).begin_short(user.user_id, USER_AGENT, lifetime)
        token = mint_access_token(key, user, session, roles)
        details = {"roles": ",".join(roles)}
        await operator_events(database).record("token_issued", caller=caller_of(user, session), details=details)
        return token


async def revoke_key(dsn: str, key_id: str) -> str:
    """Revoke every token that is signed with a key, permanently; return what to print.

    The same commit notifies the edges, which notify the services.
    """
    async with operator_database(dsn) as database:
        await database.pool.execute(STATEMENTS["revoke_key"], key_id)
        await operator_events(database).record("key_revoked", details={"key_id": key_id})
    return f"Revoked the key {key_id}."


def _signing_key(file: Path) -> SigningKey:
    try:
        return SigningKey.load(file)
    except (OSError, ValueError, TypeError) as error:
        message = f"The signing key cannot be read from {file}."
        raise OperatorError(message) from error


async def _user(users: Users, username: str | None) -> User:
    if username is None:
        user = await users.first_admin()
        if user is None:
            message = "There is no enabled user with the role admin: name a user with --user."
            raise OperatorError(message)
        return user
    user = await find_user(users, username)
    if user.disabled_at is not None:
        message = f'The user "{user.username}" is disabled.'
        raise OperatorError(message)
    return user


def _roles(user: User, role: str | None) -> Sequence[str]:
    """Return the user's roles, or one of them; an administrator may use any role."""
    if role is None:
        return user.roles
    check_role(role, ROLES)
    if role not in user.roles and "admin" not in user.roles:
        message = f'The user "{user.username}" does not have the role {role}. Its roles: {", ".join(user.roles)}.'
        raise OperatorError(message)
    return (role,)
