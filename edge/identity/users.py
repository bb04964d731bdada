"""Users: found by name, created, changed."""

from __future__ import annotations

import string
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

import asyncpg

from edge.http.errors import LastAdministrator
from edge.identity.sessions import REVOKE_USER, nothing_follows

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from chassis.database import Database

ADMINISTRATOR_STAYS: Final = "an_administrator_stays"  # the constraint that the trigger names

_TO_LOWER: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)

# One user by its folded name.
SELECT_BY_NAME: Final = 'SELECT * FROM "user" WHERE lower(username COLLATE "C") = $1'

# One user by id.
SELECT_BY_ID: Final = 'SELECT * FROM "user" WHERE user_id = $1'

# One user by id, kept as it is until the transaction ends.
LOCK_BY_ID: Final = 'SELECT * FROM "user" WHERE user_id = $1 FOR NO KEY UPDATE'

# Every user by name.
SELECT_ALL: Final = 'SELECT * FROM "user" ORDER BY lower(username COLLATE "C")'

# The enabled administrator that was created first.
SELECT_FIRST_ADMIN: Final = """
SELECT * FROM "user" WHERE 'admin' = ANY (roles) AND disabled_at IS NULL ORDER BY created_at, user_id LIMIT 1
"""

# A new user; no row when the name is taken.
INSERT_USER: Final = """
INSERT INTO "user" (username, password_hash, roles) VALUES ($1, $2, $3)
ON CONFLICT DO NOTHING RETURNING *
"""

# The first user; no row when there is one already. The lock keeps two migrations from both seeing none.
INSERT_FIRST_USER: Final = """
INSERT INTO "user" (username, password_hash, roles)
SELECT $1, $2, $3 WHERE NOT EXISTS (SELECT FROM "user") RETURNING *
"""

# Change roles, password or being disabled; NULL leaves a value as it is.
UPDATE_USER: Final = """
UPDATE "user" SET roles = coalesce($2, roles), password_hash = coalesce($3, password_hash),
    disabled_at = CASE WHEN $4::boolean IS NULL THEN disabled_at WHEN $4 THEN coalesce(disabled_at, now()) END,
    updated_at = now()
WHERE user_id = $1 RETURNING *
"""


def folded(username: str) -> str:
    """Return the form in which user names are compared, everywhere.

    Names are ASCII. Of other letters, different libraries make different things: some fold U+0130 to ``i``.
    """
    return username.translate(_TO_LOWER)


@dataclass(frozen=True, slots=True)
class User:
    """A user as stored."""

    user_id: UUID
    username: str
    password_hash: str
    roles: tuple[str, ...]
    disabled_at: datetime | None
    created_at: datetime
    updated_at: datetime
    tokens_not_before: datetime | None = None

    @classmethod
    def from_row(cls, row: asyncpg.Record) -> User:
        """The user of a row of the table."""
        return cls(**{**dict(row), "roles": tuple(row["roles"])})


@dataclass(frozen=True, slots=True)
class Change:
    """What to change of a user; ``None`` leaves a value as it is."""

    roles: tuple[str, ...] | None = None
    password_hash: str | None = None
    disabled: bool | None = None

    def of(self, user: User) -> bool:
        """Whether this changes anything of the user."""
        return (
            self.password_hash is not None
            or (self.roles is not None and set(self.roles) != set(user.roles))
            or (self.disabled is not None and self.disabled != (user.disabled_at is not None))
        )


class Users:
    """The table of users."""

    def __init__(self, database: Database, on_change: Callable[[], Awaitable[None]] = nothing_follows) -> None:
        """Use the edge's database; ``on_change`` returns when this process knows which tokens no longer count."""
        self._database = database
        self._on_change = on_change

    async def by_name(self, username: str) -> User | None:
        """The user of that name."""
        row = await self._database.pool.fetchrow(SELECT_BY_NAME, folded(username))
        return User.from_row(row) if row else None

    async def by_id(self, user_id: UUID) -> User | None:
        """The user of that id."""
        row = await self._database.pool.fetchrow(SELECT_BY_ID, user_id)
        return User.from_row(row) if row else None

    async def first_admin(self) -> User | None:
        """The enabled administrator that was created first."""
        row = await self._database.pool.fetchrow(SELECT_FIRST_ADMIN)
        return User.from_row(row) if row else None

    async def all(self) -> list[User]:
        """Every user."""
        return [User.from_row(row) for row in await self._database.pool.fetch(SELECT_ALL)]

    async def create(self, username: str, password_hash: str, roles: Sequence[str]) -> User | None:
        """The new user; ``None`` when the name is taken."""
        row = await self._database.pool.fetchrow(INSERT_USER, username, password_hash, list(roles))
        return User.from_row(row) if row else None

    async def create_first(self, username: str, password_hash: str, roles: Sequence[str]) -> User | None:
        """The first user; ``None`` when there is one already."""
        async with self._database.pool.acquire() as connection, connection.transaction():
            await connection.execute('LOCK TABLE "user" IN SHARE ROW EXCLUSIVE MODE')
            row = await connection.fetchrow(INSERT_FIRST_USER, username, password_hash, list(roles))
        return User.from_row(row) if row else None

    async def update(self, user_id: UUID, change: Change, revoked_for: str) -> tuple[User, bool] | None:
        """The user after the change and whether anything changed; ``None`` when there is no such user.

        A change ends the user's sessions in the same transaction. ``LastAdministrator`` when no enabled one would stay.
        """
        async with self._database.pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(LOCK_BY_ID, user_id)
            if row is None:
                return None
            user = User.from_row(row)
            if not change.of(user):
                return user, False
            roles = None if change.roles is None else list(change.roles)
            try:
                row = await connection.fetchrow(UPDATE_USER, user_id, roles, change.password_hash, change.disabled)
            except asyncpg.CheckViolationError as error:
                if error.constraint_name != ADMINISTRATOR_STAYS:
                    raise
                message = "This is the last enabled administrator: create another one first."
                raise LastAdministrator(message) from None
            await connection.fetch(REVOKE_USER, user_id, revoked_for)
        await self._on_change()
        return User.from_row(row), True
