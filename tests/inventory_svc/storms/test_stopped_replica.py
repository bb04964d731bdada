"""A replica that is stopped while its transaction holds the log's lock does not keep the others from writing."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Any

import psycopg
import pytest

from partstream.inventory.v1 import stock_service_pb2 as pb
from tests.inventory_svc.storms.replicas import Crowd, Replica

# Waits until it is let go on with the log's lock held, in the statement that ends the replica's transaction.
HELD_BACK = """
CREATE FUNCTION hold_back() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(1, 1);
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER zz_hold_back AFTER UPDATE ON stock_level DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.part_id = 'slow') EXECUTE FUNCTION hold_back();
"""
HOLDS_BACK = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1 AND objid = 1 AND NOT granted"
LIMIT_SECONDS = 9.0  # the lock used to be held for 10 s here; a slow machine has time enough for 2


def adjust(*parts: str) -> pb.BatchAdjustStockRequest:
    """One unit less of each part, in one transaction of several statements."""
    lines = [pb.StockAdjustment(part_id=part_id, delta=-1, reason="sold") for part_id in parts]
    return pb.BatchAdjustStockRequest(request_id=str(uuid.uuid4()), adjustments=lines)


async def until(shell: psycopg.AsyncConnection[tuple[Any, ...]], query: str) -> None:
    """Return once a query counts something."""
    async with asyncio.timeout(20):
        while True:
            row = await (await shell.execute(query.encode())).fetchone()
            if row and row[0]:
                return


async def test_a_replica_stopped_with_the_logs_lock_holds_up_the_others_for_a_moment(
    inventory_dsn: str, replicas: list[Replica], crowd: Crowd
) -> None:
    for part_id in ("fourth", "other", "slow", "third"):
        await crowd.have(part_id, 10)
    request = adjust("slow", "other")
    async with await psycopg.AsyncConnection.connect(inventory_dsn, autocommit=True) as shell:
        await shell.execute(HELD_BACK.encode())
        await shell.execute("SELECT pg_advisory_lock(1, 1)")
        stopped_call = asyncio.ensure_future(crowd.replicas[0].BatchAdjustStock(request, timeout=60))
        await until(shell, HOLDS_BACK)
        replicas[0].pause()
        try:
            await shell.execute("SELECT pg_advisory_unlock(1, 1)")
            began = time.monotonic()
            await crowd.replicas[1].BatchAdjustStock(adjust("third", "fourth"), timeout=60)
            waited = time.monotonic() - began
        finally:
            replicas[0].resume()
        await asyncio.wait([stopped_call])

        assert waited < LIMIT_SECONDS
        await crowd.ask("BatchAdjustStock", request)  # whatever the first caller was told: it was done once
        level = "SELECT array_agg(on_hand::int ORDER BY part_id) FROM stock_level"
        row = await (await shell.execute(level.encode())).fetchone()
        assert row == ([9, 9, 9, 9],)
        for stub in crowd.replicas:  # both write again
            await stub.BatchAdjustStock(adjust("third", "fourth"), timeout=60)


@pytest.fixture
async def crowd(replicas: list[Replica], key: Any) -> Any:
    """Callers over both; the histories of their parts are not theirs alone."""
    callers = Crowd([replica.port for replica in replicas], key)
    yield callers
    await callers.close()
