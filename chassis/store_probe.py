"""Probes whether a database accepts writes, which a ping does not show."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from chassis.background import BackgroundService
from chassis.store_errors import READ_ONLY, STORE_FAILURES

if TYPE_CHECKING:
    from chassis.database import Database

PROBE_SECONDS: Final = 5.0  # a new connection each time: about 5 ms of the server
PROBE_FAILING_SECONDS: Final = 1.0

# Whether new sessions are read-only: on a standby, and by `default_transaction_read_only`.
_IS_READ_ONLY = "SELECT current_setting('transaction_read_only')::boolean"

# Needs space in the database's own tablespace; the transaction is rolled back.
_TAKE_SPACE = (
    "CREATE TEMPORARY TABLE store_probe ON COMMIT DROP AS SELECT repeat('x', 1000) FROM generate_series(1, 64)"
)


class StoreProbe(BackgroundService):
    """Probes at intervals, and every second while writes fail."""

    def __init__(self, database: Database) -> None:
        """Update the state of this database."""
        super().__init__(f"{database.state.name}-store-probe", PROBE_SECONDS)
        self._database = database
        self._state = database.state
        self._state.on_change = self.nudge

    async def run_once(self) -> None:
        """Probe once, over a new connection: old sessions keep the settings of their start."""
        try:
            if await self._is_read_only():
                self._state.fails(READ_ONLY)
            else:
                if self._state.cause == READ_ONLY.cause:
                    # Pooled sessions are still read-only and have to be replaced before writes work.
                    await self._database.renew_connections()
                self._state.works()
        except STORE_FAILURES as error:
            self._state.met(error)
        self.interval_seconds = PROBE_FAILING_SECONDS if self._state.cause else PROBE_SECONDS

    async def _is_read_only(self) -> bool:
        connection = await self._database.connect(lock_timeout="1s", statement_timeout="2s")
        try:
            if await connection.fetchval(_IS_READ_ONLY):
                return True
            if self._state.cause:
                with contextlib.suppress(_RolledBackError):
                    async with connection.transaction():
                        await connection.execute(_TAKE_SPACE)
                        raise _RolledBackError
            return False
        finally:
            connection.terminate()


class _RolledBackError(Exception):
    """Rolls the transaction of the probe back."""
