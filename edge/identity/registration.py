"""Registration: customers create their own accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge.http.errors import RegistrationClosed, Taken
from edge.identity.users import folded

if TYPE_CHECKING:
    from edge.identity.lockout import Lockout
    from edge.identity.passwords import Passwords
    from edge.identity.security_events import SecurityEvents
    from edge.identity.users import User, Users

# Names that would look like another actor in the audit trail.
RESERVED: Final = frozenset(
    {"admin", "administrator", "anonymous", "content", "edge", "inventory", "partstream", "root", "service", "support"}
    | {"scheduler", "system", "tasks", "worker"}
)


class Registration:
    """Registering; can be switched off."""

    def __init__(
        self, users: Users, passwords: Passwords, lockout: Lockout, events: SecurityEvents, *, is_open: bool
    ) -> None:
        """Use the parts of one edge; ``is_open`` is the setting."""
        self._users = users
        self._passwords = passwords
        self._lockout = lockout
        self._events = events
        self._is_open = is_open

    async def register(self, username: str, password: str, client_ip: str) -> User:
        """Create a customer. The password is hashed first, so that a taken name takes as long as a free one.

        Raise ``RegistrationClosed``, ``TooManyRequests``, ``RuleBroken`` for a weak password, and ``Taken``.
        """
        if not self._is_open:
            message = "Customers cannot register here: ask an administrator for an account."
            raise RegistrationClosed(message)
        await self._lockout.admit_registration(client_ip)
        password_hash = await self._passwords.hash_new(password, username)
        reserved = folded(username) in RESERVED
        user = None if reserved else await self._users.create(username, password_hash, ("customer",))
        if user is None:
            message = f"The name {username} is taken: choose another one."
            raise Taken(message)
        await self._events.record("user_registered", username=user.username, details={"user_id": str(user.user_id)})
        return user
