"""The first administrator: its password is generated and shown once, unless the environment brings one."""

import secrets
from dataclasses import dataclass

import psycopg

from devstack.errors import ServerUnavailable

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


def first_admin(edge_dsn: str, username: str, password: str | None) -> FirstAdmin | None:
    """Answer the administrator to create; None when the database has users already."""
    if _has_users(edge_dsn):
        return None
    return FirstAdmin(username, password or secrets.token_urlsafe(15), generated=password is None)


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
