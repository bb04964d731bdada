"""The four databases and their owner roles, on any PostgreSQL server."""

from collections.abc import Mapping
from urllib.parse import quote

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from stack.errors import ServerUnavailable

NAMES = ("inventory", "content", "edge", "audit")

CREATE_ROLE = sql.SQL("CREATE ROLE {name} LOGIN PASSWORD {password}")
SET_PASSWORD = sql.SQL("ALTER ROLE {name} LOGIN PASSWORD {password}")
# An administrator who is no superuser may give a database only to a role it belongs to.
JOIN_ROLE = sql.SQL("GRANT {name} TO CURRENT_USER")
CREATE_DATABASE = sql.SQL("CREATE DATABASE {name} OWNER {name} TEMPLATE template0 ENCODING 'UTF8'")
# Only the owner may connect: no service reads the tables of another.
CLOSE_DATABASE = sql.SQL("REVOKE CONNECT, TEMPORARY ON DATABASE {name} FROM PUBLIC")


def ensure_databases(admin_dsn: str, passwords: Mapping[str, str]) -> dict[str, str]:
    """Create the roles and databases that are missing; return the connection string of each database by its name.

    A role that exists with another password is given ours.
    """
    try:
        with psycopg.connect(admin_dsn, autocommit=True, connect_timeout=10) as connection:
            for name in NAMES:
                _ensure(connection, admin_dsn, name, passwords[name])
    except psycopg.Error as error:
        message = f"The databases could not be prepared: {str(error).strip()}"
        raise ServerUnavailable(message) from error
    return {name: dsn_for(admin_dsn, name, passwords[name]) for name in NAMES}


def dsn_for(admin_dsn: str, name: str, password: str, database: str | None = None) -> str:
    """Return the connection string of the role ``name`` on the server of ``admin_dsn``."""
    parts = conninfo_to_dict(admin_dsn)
    host, port = str(parts.get("host") or "127.0.0.1"), parts.get("port") or "5432"
    shown = f"[{host}]" if ":" in host else host
    options = "".join(
        f"{'&' if index else '?'}{key}={quote(str(parts[key]), safe='/')}"
        for index, key in enumerate(key for key in ("sslmode", "sslrootcert") if parts.get(key))
    )
    return f"postgresql://{name}:{quote(password, safe='')}@{shown}:{port}/{database or name}{options}"


def _ensure(connection: psycopg.Connection, admin_dsn: str, name: str, password: str) -> None:
    names = {"name": sql.Identifier(name), "password": sql.Literal(password)}
    if _exists(connection, "SELECT 1 FROM pg_roles WHERE rolname = %s", name):
        if not _can_connect(dsn_for(admin_dsn, name, password)):
            connection.execute(SET_PASSWORD.format(**names))
    else:
        connection.execute(CREATE_ROLE.format(**names))
    if not _exists(connection, "SELECT 1 FROM pg_database WHERE datname = %s", name):
        connection.execute(JOIN_ROLE.format(**names))
        connection.execute(CREATE_DATABASE.format(**names))
        connection.execute(CLOSE_DATABASE.format(**names))


def _exists(connection: psycopg.Connection, query: str, name: str) -> bool:
    return connection.execute(query.encode(), (name,)).fetchone() is not None


def _can_connect(dsn: str) -> bool:
    try:
        psycopg.connect(dsn, connect_timeout=10).close()
    except psycopg.OperationalError:
        return False
    return True
