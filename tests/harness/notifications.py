"""A session that listens for the notifications of commits, and remembers who sent them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg

from changelog.notify import CHANNEL
from stack.checkout import ROOT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# The function of the first migration of a service: a database from before changes by SQL sent notifications.
_FIRST = (ROOT / "inventory_svc" / "migrations" / "pre_0001_stock.sql").read_text()
AS_BEFORE = "CREATE OR REPLACE FUNCTION change_log_lock_head" + (
    _FIRST.partition("CREATE FUNCTION change_log_lock_head")[2].partition("$$;")[0] + "$$;"
)


class Notifications:
    """Backend process ids of the senders, in the order of their commits."""

    def __init__(self) -> None:
        self.senders: list[int] = []
        self._arrived = asyncio.Event()

    def heard(self, _connection: Any, pid: int, _channel: str, _payload: object) -> None:
        self.senders.append(pid)
        self._arrived.set()

    async def until_from(self, pid: int) -> None:
        """Return once one of this sender has arrived; the earlier commits' are there as well."""
        async with asyncio.timeout(20):
            while pid not in self.senders:
                self._arrived.clear()
                await self._arrived.wait()


@asynccontextmanager
async def listening(dsn: str) -> AsyncIterator[Notifications]:
    """Listen until the block is left."""
    notifications = Notifications()
    connection = await asyncpg.connect(dsn)
    await connection.add_listener(CHANNEL, notifications.heard)
    try:
        yield notifications
    finally:
        await connection.close()
