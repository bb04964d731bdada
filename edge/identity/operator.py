"""The base of the operator commands: their authority, their database, and one line for each error.

No password is asked for. Access to the data folder, which holds the signing key and the passwords of the databases, is
the authority: with these a person could write every row and sign every token by hand. Each command records security
events with ``source`` ``cli`` and the operating system user that ran it.
"""

from __future__ import annotations

import contextlib
import os
import pwd
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from chassis.database import Database
from chassis.errors import PartstreamError
from chassis.store_errors import CONNECTION_LOST
from edge.http.errors import EdgeError
from edge.identity.security_events import SecurityEvents
from edge.identity.user_bodies import Username

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection

    from edge.identity.users import User, Users


class OperatorError(Exception):
    """A command that failed; the message is one line for the operator."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command prints: text for a person, or one JSON object for a program."""

    text: str
    document: dict[str, Any]


@contextlib.asynccontextmanager
async def operator_database(dsn: str) -> AsyncIterator[Database]:
    """Open the edge's database for one command; an error inside the block becomes an ``OperatorError``."""
    try:
        database = await Database.open(dsn, application_name="partstream-operator", max_size=1)
        try:
            yield database
        finally:
            await database.close()
    except CONNECTION_LOST as error:
        message = "The database of users is unavailable: check that the stack is running, then retry."
        raise OperatorError(message) from error
    except asyncpg.UndefinedTableError as error:
        message = "The database of users has no tables: migrate it first."
        raise OperatorError(message) from error
    except asyncpg.PostgresError as error:
        message = f"The database of users rejected the command ({type(error).__name__})."
        raise OperatorError(message) from error
    except (EdgeError, PartstreamError) as error:
        raise OperatorError(str(error)) from error


def operator_events(database: Database) -> SecurityEvents:
    """Return security events with the source ``cli``."""
    return SecurityEvents(database, {"source": "cli", "os_user": _os_user()})


async def find_user(users: Users, username: str) -> User:
    """Return the user of a name; raise ``OperatorError`` when there is none, also for a malformed name."""
    user = await users.by_name(username) if fits(username, Username) else None
    if user is None:
        message = f'There is no user "{username}".'
        raise OperatorError(message)
    return user


def check_role(role: str, known: Collection[str]) -> None:
    """Raise ``OperatorError`` for an unknown role."""
    if role not in known:
        message = f'There is no role "{role}". Roles: {", ".join(known)}.'
        raise OperatorError(message)


def fits(value: object, rule: Any) -> bool:
    """Return whether a value is valid by a rule of the REST API."""
    try:
        msgspec.convert(value, rule)
    except msgspec.ValidationError:
        return False
    return True


def _os_user() -> str:
    """Return the name of the operating system user, or its number where it has no name, as in a container."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
