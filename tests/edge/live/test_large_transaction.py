"""One UPDATE of 29,327 rows, through services, followers and a socket: every change arrives, no other client fails."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import asyncpg
import httpx
import pytest

from changelog.cursor import Position
from edge.app import Edge
from tests.edge.conftest import Keys
from tests.edge.live.conftest import LiveClient, LiveServer

ROWS = 29_327
A_SUBSCRIPTION = 1_000  # parts
RING = 5_000  # changes that the edge remembers here, so that the transaction is larger than the window

LEVELS = """
INSERT INTO stock_level (part_id, location_id, on_hand) SELECT 'P' || lpad(n::text, 6, '0'), 'main', 10
FROM generate_series(1, $1::int) n
"""


async def subscribe(client: LiveClient, parts: list[str], cursor: str = "") -> list[dict[str, Any]]:
    """Subscribe to every event of parts, with as many subscriptions as needed; return the responses."""
    portions = [parts[start : start + A_SUBSCRIPTION] for start in range(0, len(parts), A_SUBSCRIPTION)]
    responses = []
    for portion in portions:
        await client.say("subscribe", id=uuid.uuid4().hex, parts=portion, mode="all", cursor=cursor)
        responses.append(await client.hear())
    return responses


async def staff(live: LiveServer, keys: Keys) -> LiveClient:
    """A client that sees the stock of all parts, published or not."""
    client = await live.open(max_size=None)
    token = keys.key.mint(subject=str(uuid.uuid4()), name="ann", permissions=["stock:read", "content:read"])
    await client.ask("auth", token=token)
    return client


async def end_of_log(sql: asyncpg.Connection) -> Position:
    """The newest position of the inventory log."""
    row = await sql.fetchrow("SELECT (SELECT epoch FROM change_log_identity), max(revision) FROM change_log")
    assert row is not None
    return Position("inventory", *row)


async def write_beside(admin: httpx.AsyncClient, until: asyncio.Task[Any]) -> list[int]:
    """Write to another part for as long as a task runs; the statuses."""
    statuses = []
    while not until.done():
        body = {"delta": 1, "reason": "beside"}
        statuses.append((await admin.post("/admin/parts/other/stock/adjust", json=body)).status_code)
    return statuses


@pytest.mark.timeout(240)
async def test_every_change_of_a_large_transaction_reaches_a_client_that_reads(
    live: LiveServer, edge: Edge, keys: Keys, admin: httpx.AsyncClient, inventory_dsn: str
) -> None:
    """A client was closed with 4008 again and again, until its cursor was too old to be resumed."""
    edge.following.publisher._ring._max_entries = RING
    sql = await asyncpg.connect(inventory_dsn)
    await sql.execute("INSERT INTO stock_level (part_id, location_id, on_hand) VALUES ('other', 'main', 1)")
    await sql.execute(LEVELS, ROWS)
    await edge.following.followers["inventory"].reached(await end_of_log(sql), 60)
    parts = [f"P{number:06}" for number in range(1, ROWS + 1)]
    client = await staff(live, keys)
    responses = await subscribe(client, parts)
    assert sum(len(response["parts"]) for response in responses) == ROWS

    update = asyncio.ensure_future(sql.execute("UPDATE stock_level SET on_hand = 11 WHERE part_id <> 'other'"))
    beside = asyncio.ensure_future(write_beside(admin, update))
    seen: dict[str, int] = {}
    cursor = ""
    while len(seen) < ROWS:
        frame = await client.hear()
        if frame["type"] != "stock":
            continue
        seen[frame["part_id"]] = frame["version"]
        if len(seen) == ROWS // 2:
            cursor, rest = frame["cursor"], sorted(set(parts) - seen.keys())[:A_SUBSCRIPTION]

    assert set(seen.values()) == {2}
    assert set(await beside) == {200}
    resumed = await staff(live, keys)
    (response,) = await subscribe(resumed, rest, cursor)
    assert (response["recovered"], response["parts"]) == (True, [])
    assert {(await resumed.hear())["part_id"] for _ in rest} == set(rest)
    await sql.close()
