"""The connection to PostgreSQL: Piccolo's engine, and write transactions."""

from __future__ import annotations

import asyncio
import contextlib
import warnings
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import asyncpg
from piccolo.engine.postgres import PostgresEngine

from chassis.errors import StoreUnavailable, VersionConflict
from chassis.store_errors import CONNECTION_LOST
from chassis.store_state import StoreState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

# Piccolo warns of the same error that `Database.open` then raises.
warnings.filterwarnings("ignore", message=".*Unable to connect to database")

# The server drops a dead peer and its locks by these settings, not by the default of TCP (2 h).
_SERVER_SETTINGS = {
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "idle_in_transaction_session_timeout": "60000",
    "timezone": "UTC",
}

# How long a write transaction may wait for its own process. A suspended process may hold the log's lock and block every
# other writer: PostgreSQL ends its connection. Less than a writer waits for a row (1 s).
WRITE_IDLE_TIMEOUT = "800ms"

# How long a cancelled statement may take to end; then its connection is terminated. A backend that hangs would
# otherwise occupy the pool until `command_timeout`.
_CANCEL_SECONDS = 3.0


class BoundedConnection(asyncpg.Connection):  # type: ignore[misc] # asyncpg has no types
    """A connection that is terminated when the server does not confirm the cancellation of a statement."""

    def _cancel_current_command(self, waiter: Any, cancel_waiter: Any = None) -> None:
        """Cancel as the driver does, with a shorter limit than its ``command_timeout``."""
        super()._cancel_current_command(waiter, cancel_waiter)
        if cancel_waiter is not None:
            asyncio.get_running_loop().call_later(_CANCEL_SECONDS, self._terminate_unless, cancel_waiter)

    def _terminate_unless(self, ended: asyncio.Future[Any]) -> None:
        if not ended.done() and not self.is_closed():
            self.terminate()


async def _keep_session(_connection: object) -> None:
    """Skip the reset of session state, one round trip per statement: pooled connections have none.

    The pool itself rolls back a transaction that was left open.
    """


class Database:
    """A pool of connections and the Piccolo engine over it."""

    def __init__(self, engine: PostgresEngine, name: str = "database") -> None:
        """Use an engine whose pool is open; ``name`` is for the log."""
        self.engine = engine
        self.state = StoreState(name)

    @classmethod
    async def open(
        cls, dsn: str, *, application_name: str, min_size: int = 1, max_size: int = 10, command_timeout: float = 30
    ) -> Database:
        """Connect; raise a driver error when the database is unavailable.

        ``command_timeout`` bounds a statement, in seconds.
        """
        engine = PostgresEngine(
            config={"dsn": dsn, "server_settings": {**_SERVER_SETTINGS, "application_name": application_name}},
            extensions=(),
            log_queries=False,
        )
        await engine.start_connection_pool(
            min_size=min_size,
            max_size=max_size,
            timeout=5,
            command_timeout=command_timeout,
            reset=_keep_session,
            connection_class=BoundedConnection,
        )
        return cls(engine, urlsplit(dsn).path.strip("/") or application_name)

    @property
    def pool(self) -> asyncpg.Pool[asyncpg.Record]:
        """Return the pool, for statements that the query builder cannot express."""
        if self.engine.pool is None:
            message = "The database is closed."
            raise StoreUnavailable(message)
        return self.engine.pool

    async def connect(self, **server_settings: str) -> asyncpg.Connection[asyncpg.Record]:
        """Return a connection outside the pool; the caller closes it."""
        config = dict(self.engine.config)
        settings = {**config.pop("server_settings"), **server_settings}
        connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(
            **config, server_settings=settings, timeout=5, command_timeout=30
        )
        return connection

    @asynccontextmanager
    async def own_connection(self) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
        """Yield a connection outside the pool, terminated at the end of the block.

        For long reads in a transaction that callers may abandon: a connection that returned to the pool with its
        transaction open would read an old state.
        """
        connection = await self.connect()
        try:
            yield connection
        finally:
            connection.terminate()

    async def renew_connections(self) -> None:
        """Replace the pooled connections at their next use: a session keeps the settings of its start."""
        await self.pool.expire_connections()

    async def ping(self) -> None:
        """Return when the database responds; else raise ``StoreUnavailable``."""
        try:
            await self.pool.fetchval("SELECT 1", timeout=2)
        except CONNECTION_LOST as error:
            message = "Database unavailable. Retry later."
            raise StoreUnavailable(message) from error

    async def close(self) -> None:
        """Close the pool; connections that do not end within 3 s are terminated."""
        pool, self.engine.pool = self.engine.pool, None
        if pool is None:
            return
        with contextlib.suppress(Exception):
            await asyncio.wait_for(pool.close(), 3)
            return
        pool.terminate()


@dataclass(frozen=True, slots=True)
class WriteContext:
    """The actor and the reason of a write, for the change log's triggers."""

    actor_id: str
    actor_name: str
    client_ip: str = ""
    request_id: str = ""
    traceparent: str = ""
    reason: str = ""


# Mark the transaction as one of the service, with its actor, and limit its idle time; one round trip.
SET_CONTEXT = f"""
SELECT set_config('idle_in_transaction_session_timeout', '{WRITE_IDLE_TIMEOUT}', true),
       set_config('partstream.source', 'service', true), set_config('partstream.actor', $1, true),
       set_config('partstream.actor_name', $2, true), set_config('partstream.client_ip', $3, true),
       set_config('partstream.request_id', $4, true), set_config('partstream.traceparent', $5, true),
       set_config('partstream.reason', $6, true)
"""


class TransactionManager:
    """Write transactions on behalf of a caller."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def begin(self, context: WriteContext) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
        """Yield the connection of a READ COMMITTED transaction; a nested one raises.

        The driver runs the transaction and Piccolo is informed of it: Piccolo's own leaks its connection when BEGIN,
        COMMIT or ROLLBACK fails or is cancelled.
        """
        engine = self._database.engine
        transaction = engine.transaction(allow_nested=False)
        async with self._database.pool.acquire() as connection, connection.transaction():
            transaction.connection = connection
            token = engine.current_transaction.set(transaction)
            try:
                await connection.execute(
                    SET_CONTEXT,
                    context.actor_id,
                    context.actor_name,
                    context.client_ip,
                    context.request_id,
                    context.traceparent,
                    context.reason,
                )
                yield connection
            finally:
                engine.current_transaction.reset(token)

    async def with_row_locking(
        self, connection: asyncpg.Connection[asyncpg.Record], query: str, *arguments: Any
    ) -> Sequence[asyncpg.Record]:
        """Return the rows of a query that ends in ``ORDER BY <primary key> FOR UPDATE``, with their locks held."""
        rows: Sequence[asyncpg.Record] = await connection.fetch(query, *arguments)
        return rows


class OptimisticLockingMixin:
    """For rows with a dense ``version``: compares the expected version with the present one, under the row lock."""

    version: int

    def check_version(self, expected: int | None) -> None:
        """Raise ``ConcurrencyError`` with this row as ``current`` when ``expected`` is stale."""
        if expected is not None and expected != self.version:
            message = (
                f"Version conflict: expected {expected}, present {self.version}. Read the resource again and retry."
            )
            raise VersionConflict(message, current=self, metadata={"current_version": str(self.version)})
