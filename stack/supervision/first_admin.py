"""The first administrator: its password is generated and shown once, unless the environment brings one.

A generated one is kept, in a file for its owner only, until it has been shown: a first start that is cut short after
the administrator was created would leave nobody who can sign in.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg

from chassis.password_policy import weakness
from stack.credentials import write_private
from stack.errors import ServerUnavailable

DEFAULT_ADMIN = "admin"
PASSWORD_SETTING = "PARTSTREAM_ADMIN_PASSWORD"  # noqa: S105 - the name of a setting
NOT_YET_SHOWN = "first-admin.json"

# Whether the edge's schema is there yet; asked first, so that a new database logs no error.
HAS_TABLE = b"SELECT to_regclass('public.user') IS NOT NULL"
# Whether anybody can sign in.
HAS_USERS = b'SELECT EXISTS (SELECT FROM "user")'


@dataclass(frozen=True, slots=True)
class FirstAdmin:
    """Given to the edge's migration, which creates it when there is no user yet."""

    username: str
    password: str
    generated: bool
    exists: bool = False


def first_admin(edge_dsn: str, username: str, password: str | None, data_folder: Path) -> FirstAdmin | None:
    """Return the administrator to create or to show; None when the database has users and all was shown."""
    file = data_folder / NOT_YET_SHOWN
    exists = _has_users(edge_dsn)
    kept = _kept(file)
    if exists:
        return None if kept is None else FirstAdmin(*kept, generated=True, exists=True)
    if password is not None:
        file.unlink(missing_ok=True)
        return FirstAdmin(username, password, generated=False)
    if kept is None or kept[0] != username:
        kept = (username, secrets.token_urlsafe(15))
        write_private(file, json.dumps({"username": kept[0], "password": kept[1]}) + "\n")
    return FirstAdmin(*kept, generated=True)


def password_problems(environment: Mapping[str, str]) -> list[str]:
    """Return a line for a password of the environment that no account may have. An empty one counts as absent."""
    given = environment.get(PASSWORD_SETTING, "")
    if not given:
        return []
    password = given.strip() or given  # settings are read without the space around them
    problem = weakness(password, environment.get("PARTSTREAM_ADMIN_USERNAME", "").strip() or DEFAULT_ADMIN)
    return [f"{PASSWORD_SETTING} is wrong: {problem}"] if problem else []


def was_shown(data_folder: Path) -> None:
    """Forget the generated password."""
    (data_folder / NOT_YET_SHOWN).unlink(missing_ok=True)


def _kept(file: Path) -> tuple[str, str] | None:
    try:
        raw = json.loads(file.read_text())
        return str(raw["username"]), str(raw["password"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _has_users(edge_dsn: str) -> bool:
    try:
        with psycopg.connect(edge_dsn, connect_timeout=10) as connection:
            return _is_true(connection, HAS_TABLE) and _is_true(connection, HAS_USERS)
    except psycopg.Error as error:
        message = f"The edge's database cannot be read: {str(error).strip()}"
        raise ServerUnavailable(message) from error


def _is_true(connection: psycopg.Connection, query: bytes) -> bool:
    row = connection.execute(query).fetchone()
    return bool(row and row[0])
