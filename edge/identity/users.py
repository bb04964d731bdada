"""Users: read by name and id, created, changed."""

from __future__ import annotations

import logging
import string
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import asyncpg
from piccolo.query import OrderByRaw
from piccolo.querystring import QueryString

from chassis.database import TransactionManager, new_row
from edge.http.errors import LastAdministrator
from edge.identity import tables
from edge.identity.passwords import hash_password
from edge.identity.sessions import no_action, revoke_query
from edge.identity.sql import STATEMENTS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from piccolo.query.methods.select import Select

    from chassis.database import Database

logger = logging.getLogger("edge.identity")

ADMINISTRATOR_STAYS: Final = "an_administrator_stays"  # the constraint that the trigger names

_FOLDED: Final = 'lower("username" COLLATE "C")'  # as the unique index has it; `folded` is its counterpart
_TO_LOWER: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def folded(username: str) -> str:
    """Return the form in which user names are compared, everywhere.

    Names are ASCII. Libraries differ in how they fold other letters: some fold U+0130 to ``i``.
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
    def from_row(cls, row: Mapping[str, Any]) -> User:
        """Return the user of a row of the table."""
        return cls(**{**row, "roles": tuple(row["roles"])})


@dataclass(frozen=True, slots=True)
class Change:
    """What to change of a user; ``None`` leaves a value as it is."""

    roles: tuple[str, ...] | None = None
    password_hash: str | None = None
    disabled: bool | None = None

    def of(self, user: User) -> bool:
        """Return whether this changes anything of the user."""
        return (
            self.password_hash is not None
            or (self.roles is not None and set(self.roles) != set(user.roles))
            or (self.disabled is not None and self.disabled != (user.disabled_at is not None))
        )

    def values(self, user: User) -> dict[Any, Any]:
        """Return the new values of the columns of the locked user."""
        values: dict[Any, Any] = {tables.User.updated_at: QueryString("now()")}
        if self.roles is not None:
            values[tables.User.roles] = list(self.roles)
        if self.password_hash is not None:
            values[tables.User.password_hash] = self.password_hash
        if self.disabled is not None:
            values[tables.User.disabled_at] = (user.disabled_at or QueryString("now()")) if self.disabled else None
        return values


class Users:
    """The table of users."""

    def __init__(self, database: Database, on_change: Callable[[], Awaitable[None]] = no_action) -> None:
        """Use the edge's database; ``on_change`` returns when this process has read the new revocations."""
        self._database = database
        self._transactions = TransactionManager(database)
        self._on_change = on_change

    async def by_name(self, username: str) -> User | None:
        """Return the user of a name."""
        return await self._first(tables.User.select().where(QueryString(f"{_FOLDED} = {{}}", folded(username))))

    async def by_id(self, user_id: UUID) -> User | None:
        """Return the user of an id."""
        return await self._first(tables.User.select().where(tables.User.user_id == user_id))

    async def first_admin(self) -> User | None:
        """Return the enabled administrator that was created first."""
        user = tables.User
        is_admin = user.roles.any("admin") & user.disabled_at.is_null()
        return await self._first(user.select().where(is_admin).order_by(user.created_at, user.user_id).limit(1))

    async def all(self) -> list[User]:
        """Return every user, by name."""
        rows = await self._database.run(tables.User.select().order_by(OrderByRaw(_FOLDED)))
        return [User.from_row(row) for row in rows]

    async def create(self, username: str, password_hash: str, roles: Sequence[str]) -> User | None:
        """Insert a user and return it; ``None`` when the name is taken."""
        user = tables.User
        new = new_row(user, username=username, password_hash=password_hash, roles=list(roles))
        try:
            [row] = await self._database.run(user.insert(new).returning(*user.all_columns()))
        except asyncpg.UniqueViolationError:
            return None
        return User.from_row(row)

    async def create_first(self, username: str, password_hash: str, roles: Sequence[str]) -> User | None:
        """Insert the first user and return it; ``None`` when there is a user already."""
        async with self._transactions.begin() as connection:
            await connection.execute(STATEMENTS["lock_users"])
            row = await connection.fetchrow(STATEMENTS["insert_first_user"], username, password_hash, list(roles))
        return User.from_row(row) if row else None

    async def update(self, user_id: UUID, change: Change, revoked_for: str) -> tuple[User, bool] | None:
        """Return the user after the change and whether anything changed; ``None`` when there is no such user.

        A change revokes the user's sessions in the same transaction. Raise ``LastAdministrator`` when no enabled
        administrator would remain. Users have no version: the lock of the row orders two changes.
        """
        user = tables.User
        async with self._transactions.begin():
            found = await self._transactions.with_row_locking(user.select().where(user.user_id == user_id))
            if not found:
                return None
            current = User.from_row(found[0])
            if not change.of(current):
                return current, False
            update = user.update(change.values(current)).where(user.user_id == user_id)
            try:
                [row] = await self._database.run(update.returning(*user.all_columns()))
            except asyncpg.CheckViolationError as error:
                if error.constraint_name != ADMINISTRATOR_STAYS:
                    raise
                message = "This is the last enabled administrator: create another one first."
                raise LastAdministrator(message) from None
            await self._database.run(revoke_query(revoked_for).where(tables.Session.user_id == user_id))
        await self._on_change()
        return User.from_row(row), True

    async def _first(self, query: Select[tables.User]) -> User | None:
        rows = await self._database.run(query)
        return User.from_row(rows[0]) if rows else None


async def ensure_first_admin(database: Database, username: str, password: str) -> None:
    """Create the first administrator when there is no user and a password is given. No default password exists."""
    if not password:
        logger.info("no first administrator created: PARTSTREAM_ADMIN_PASSWORD is not set")
        return
    user = await Users(database).create_first(username, hash_password(password), ["admin"])
    if user is not None:
        logger.info("first administrator created username=%s", user.username)
