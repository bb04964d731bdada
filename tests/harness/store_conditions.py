"""What can become of a PostgreSQL database while services use it, brought about for real."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

END_SESSIONS = (
    b"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
)

# A statement on the table fails with a SQLSTATE, as the server itself would report it.
FAIL = """
CREATE FUNCTION fail_as_told() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'SECRET detail of the server' USING ERRCODE = {code}; END $$;
CREATE TRIGGER a_fail_as_told BEFORE INSERT OR UPDATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION fail_as_told();
"""
# Also in a database whose sessions are read-only.
WRITABLE = "-c default_transaction_read_only=off"

WORK = "DROP FUNCTION fail_as_told() CASCADE"


class Conditions:
    """The conditions of one database, set by the superuser."""

    def __init__(self, admin_dsn: str, dsn: str) -> None:
        """Take both connection strings."""
        self._admin_dsn = admin_dsn
        self.name = urlsplit(dsn).path.strip("/")

    @contextlib.contextmanager
    def read_only(self, *, end_sessions: bool = True) -> Iterator[None]:
        """New sessions may not write; those that began meanwhile keep that setting afterwards."""
        with self._setting("default_transaction_read_only", "on", end_sessions=end_sessions):
            yield

    @contextlib.contextmanager
    def statement_timeout(self, milliseconds: int) -> Iterator[None]:
        """New sessions end statements that take longer."""
        with self._setting("statement_timeout", str(milliseconds), end_sessions=True):
            yield
        self._run(END_SESSIONS, self.name)

    @contextlib.contextmanager
    def no_connections(self) -> Iterator[None]:
        """Nobody but the superuser may connect."""
        self._alter("CONNECTION LIMIT 0")
        self._run(END_SESSIONS, self.name)
        try:
            yield
        finally:
            self._alter("CONNECTION LIMIT -1")

    @contextlib.asynccontextmanager
    async def failing(self, table: str, sqlstate: str) -> AsyncIterator[None]:
        """Make writes to a table fail with a SQLSTATE.

        The statements run in a thread. They wait for locks of the service under test, which may run in the loop of the
        test: a driver that has parsed a statement and not executed it yet holds a lock until its loop runs again.
        """
        failing = sql.SQL(FAIL).format(code=sql.Literal(sqlstate), table=sql.Identifier(table))
        await asyncio.to_thread(self._execute, failing)
        try:
            yield
        finally:
            await asyncio.to_thread(self._execute, sql.SQL(WORK))

    def _execute(self, statement: sql.SQL | sql.Composed) -> None:
        with self.connect() as connection:
            connection.execute(statement)

    @contextlib.contextmanager
    def locked(self, statement: bytes) -> Iterator[None]:
        """Another session holds what a statement locks."""
        with self.connect() as connection, connection.transaction():
            connection.execute(statement)
            yield

    def connect(self) -> psycopg.Connection:
        """A session of the superuser in this database, which may write whatever is set."""
        return psycopg.connect(self._admin_dsn, dbname=self.name, autocommit=True, options=WRITABLE)

    def end_sessions(self) -> None:
        """End every session in the database."""
        self._run(END_SESSIONS, self.name)

    @contextlib.contextmanager
    def _setting(self, name: str, value: str, *, end_sessions: bool) -> Iterator[None]:
        self._alter(f"SET {name} = '{value}'")
        if end_sessions:
            self.end_sessions()
        try:
            yield
        finally:
            self._alter(f"RESET {name}")

    def _alter(self, what: str) -> None:
        self._run(sql.SQL("ALTER DATABASE {} " + what).format(sql.Identifier(self.name)))

    def _run(self, statement: bytes | sql.Composed, *arguments: str) -> None:
        with psycopg.connect(self._admin_dsn, autocommit=True, options=WRITABLE) as admin:
            admin.execute(statement, arguments or None)
