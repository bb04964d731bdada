"""Administration of users and sessions: every change is a security event and takes effect at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.http.errors import Missing, Taken
from edge.http.request_context import current_request_context
from edge.identity.users import Change

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from edge.identity.lockout import Lockout
    from edge.identity.passwords import Passwords
    from edge.identity.security_events import SecurityEvents
    from edge.identity.sessions import Session, Sessions
    from edge.identity.users import User, Users


def unique(roles: Sequence[str]) -> tuple[str, ...]:
    """Return each role once, in the order given."""
    return tuple(dict.fromkeys(roles))


class UserAdministration:
    """The use cases of administrators."""

    def __init__(
        self, users: Users, sessions: Sessions, passwords: Passwords, lockout: Lockout, events: SecurityEvents
    ) -> None:
        """Use the parts of one edge."""
        self._users = users
        self._sessions = sessions
        self._passwords = passwords
        self._lockout = lockout
        self._events = events

    async def users(self) -> list[User]:
        """Return every user, by name."""
        return await self._users.all()

    async def create(self, username: str, password: str, roles: Sequence[str]) -> User:
        """Create a user; raise ``Taken`` when the name is taken, ``RuleBroken`` for a weak password."""
        given = unique(roles)
        user = await self._users.create(username, await self._passwords.hash_new(password, username), given)
        if user is None:
            message = f"The user name {username} is already taken."
            raise Taken(message)
        await self._record("user_created", {"user": username, "roles": ",".join(given)})
        return user

    async def change(
        self, user_id: UUID, *, password: str | None, roles: Sequence[str] | None, disabled: bool | None
    ) -> User:
        """Change a user and revoke its sessions; return it. A change of nothing has no effect.

        A new password ends the lock-out: the failed attempts were made with the previous one. Raise ``Missing``,
        ``LastAdministrator``, and ``RuleBroken`` for a weak password.
        """
        user = await self._users.by_id(user_id)
        changed = None
        if user is not None:
            password_hash = None if password is None else await self._passwords.hash_new(password, user.username)
            change = Change(None if roles is None else unique(roles), password_hash, disabled)
            changed = await self._users.update(user_id, change, "account changed")
        if changed is None:
            message = "The user does not exist."
            raise Missing(message)
        user, is_other = changed
        if not is_other:
            return user
        if password is not None:
            await self._lockout.clear(user.username)
        facts = {"user": user.username, "roles": ",".join(user.roles), "disabled": str(user.disabled_at is not None)}
        await self._record("user_changed", {**facts, "password": "changed" if password is not None else "kept"})
        return user

    async def unlock(self, user: User) -> int:
        """End the lock-out of an account; return the number of failed attempts that no longer count."""
        cleared = await self._lockout.clear(user.username)
        await self._record("user_unlocked", {"user": user.username, "failed_attempts": str(cleared)})
        return cleared

    async def sessions(self, user_id: UUID | None) -> list[Session]:
        """Return the open sessions of one user or of all."""
        return await self._sessions.open_sessions(user_id)

    async def end_session(self, session_id: UUID) -> None:
        """Revoke a session; raise ``Missing`` when none is open."""
        if not await self._sessions.revoke(session_id, "ended by an administrator"):
            message = "The session does not exist or is closed."
            raise Missing(message)
        await self._record("session_ended", {"session_id": str(session_id)})

    async def _record(self, kind: str, details: dict[str, str]) -> None:
        await self._events.record(kind, caller=current_request_context().caller, details=details)
