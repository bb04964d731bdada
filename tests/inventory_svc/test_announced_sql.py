"""A change made by SQL is announced at its commit; the service's own transactions send no notification."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from changelog import tailer
from partstream.inventory.v1 import stock_service_pb2 as pb
from tests.harness.notifications import AS_BEFORE, listening
from tests.harness.templates import migrate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.inventory_svc.running import Running

SET_STOCK = "UPDATE stock_level SET on_hand = $1"
ADD_LEVEL = "INSERT INTO stock_level (part_id, location_id, on_hand) VALUES ('bolt', 'main', 10)"
UNDO_MIGRATION = "DELETE FROM migration WHERE name = '2026-11-22T21:00:00:000006'"


@pytest.fixture(autouse=True)
def no_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but a notification tells the service of what others commit."""
    monkeypatch.setattr(tailer, "POLL_SECONDS", 3600)


@pytest.fixture
async def sql(inventory_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A session as a person at ``psql`` has it."""
    connection = await asyncpg.connect(inventory_dsn)
    yield connection
    await connection.close()


async def test_a_watch_has_a_change_by_sql_without_the_poll(inventory: Running, sql: asyncpg.Connection) -> None:
    await inventory.have(1)
    watch: Any = inventory.staff.WatchStock(pb.WatchStockRequest())
    await watch.read()

    # Several, because the service looks at the log once by itself when it has begun to listen.
    seen = []
    for on_hand in (20, 30, 40, 50):
        await sql.execute(SET_STOCK, on_hand)
        async with asyncio.timeout(20):
            seen += (await watch.read()).changes
    watch.cancel()

    assert [(change.after.on_hand, change.origin.source) for change in seen] == [
        (on_hand, "sql") for on_hand in (20, 30, 40, 50)
    ]


async def test_transactions_of_the_service_send_none(
    inventory: Running, inventory_dsn: str, sql: asyncpg.Connection
) -> None:
    await inventory.app._log._notifier.stop()  # it sends after the commits, on a connection of its own
    async with listening(inventory_dsn) as notifications:
        part, other = await inventory.have(5), await inventory.have(5)
        await inventory.staff.AdjustStock(pb.AdjustStockRequest(part_id=part, delta=1, reason="x"))
        items = [pb.StockAdjustment(part_id=item, delta=1, reason="x") for item in (part, other)]
        await inventory.staff.BatchAdjustStock(pb.BatchAdjustStockRequest(adjustments=items))
        await inventory.staff.CreateLocation(pb.CreateLocationRequest(location_id="berlin", name="Berlin"))

        await sql.execute(SET_STOCK, 20)
        await notifications.until_from(sql.get_server_pid())

    assert notifications.senders == [sql.get_server_pid()]


async def test_a_database_from_before_gets_it(inventory_dsn: str, sql: asyncpg.Connection) -> None:
    await sql.execute(AS_BEFORE)
    await sql.execute(UNDO_MIGRATION)
    async with listening(inventory_dsn) as notifications:
        await sql.execute(ADD_LEVEL)
        await asyncio.to_thread(migrate, "inventory", inventory_dsn)

        await sql.execute(SET_STOCK, 20)
        await notifications.until_from(sql.get_server_pid())

    assert notifications.senders == [sql.get_server_pid()]
