"""The trace of a write is stored in the change log."""

import asyncpg
import httpx

from tests.edge.routes.shop import stock

TRACE = "0af7651916cd43dd8448eb211c80319c"


async def test_trace_and_address_of_a_write_are_in_the_log(admin: httpx.AsyncClient, inventory_dsn: str) -> None:
    admin.headers["traceparent"] = f"00-{TRACE}-b7ad6b7169203331-01"

    await stock(admin, 5)

    connection = await asyncpg.connect(inventory_dsn)
    entry = await connection.fetchrow(
        "SELECT traceparent, client_ip, actor_name FROM change_log WHERE entity = 'stock_level'"
    )
    await connection.close()
    assert entry is not None
    assert entry["traceparent"].split("-")[1] == TRACE
    assert entry["client_ip"] == "192.0.2.1"
    assert entry["actor_name"] == "admin"
