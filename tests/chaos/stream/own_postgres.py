"""A PostgreSQL server for scenarios, which restart and crash it."""

from __future__ import annotations

import asyncio
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg

from stack.servers.databases import NAMES, ensure_databases
from stack.servers.ports import free_port
from stack.servers.postgres import EmbeddedPostgres
from tests.harness.servers import PASSWORD, TestServers

# Survives a crash of its processes, but not of the machine.
_SETTINGS = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "on", "max_wal_size": "1GB"}


class OwnPostgres:
    """A server with the same port and data after a restart or a crash."""

    def __init__(self, folder: Path) -> None:
        self._server = EmbeddedPostgres(folder, password=PASSWORD, settings=_SETTINGS)
        self._port = free_port()
        # The server ends with the thread that started it: one thread, as long-lived as this object.
        self._thread = ThreadPoolExecutor(1, "postgres")
        self.admin_dsn = self._server.admin_dsn(self._port)

    @property
    def servers(self) -> TestServers:
        """Return the server for the template tools."""
        return TestServers(0, self.admin_dsn, "")

    def start(self) -> None:
        """Return once it responds and the roles exist."""
        self._thread.submit(self._server.start, self._port).result()
        ensure_databases(self.admin_dsn, dict.fromkeys(NAMES, PASSWORD))

    def stop(self) -> None:
        """Return once it has stopped."""
        self._thread.submit(self._server.stop).result()
        self._thread.shutdown()

    async def restart(self, *, crash: bool) -> None:
        """Stop, orderly or by a crash, and start again."""
        await asyncio.wrap_future(self._thread.submit(self._restart, crash))

    def _restart(self, crash: bool) -> None:
        process = self._server._process
        assert process is not None
        if crash:
            process.send_signal(signal.SIGQUIT)
            process.wait(20)
        self._server.stop()
        self._server.start(self._port)

    def execute(self, statement: str) -> None:
        """Run a statement as the superuser."""
        with psycopg.connect(self.admin_dsn, autocommit=True) as connection:
            connection.execute(statement.encode())
