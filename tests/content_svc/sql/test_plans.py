"""Plans made on empty tables must not scan large tables later."""

from __future__ import annotations

import asyncpg

from changelog.handoff import Handoff
from chassis.caller import CallContext, Caller, set_current_request
from chassis.database import Database, TransactionManager
from content_svc.commands.part_upsert import upsert_parts
from content_svc.domain.part import Image, PartContent
from content_svc.store.write_transactions import WriteRequest, WriteTransactions

SCANS = "SELECT coalesce(sum(seq_scan), 0) FROM pg_stat_user_tables WHERE relname = ANY($1::text[])"
FLUSH = "SELECT pg_stat_force_next_flush()"
GROWING = ["part", "part_version", "part_image"]
CALLER = Caller("11111111-2222-3333-4444-555555555555", "alice", permissions=frozenset({"content:write"}))


async def import_parts(transactions: WriteTransactions, first: int, last: int, title: str) -> None:
    content = PartContent(category_id="resistors", title=title, images=(Image(f"/{title}.png"),))
    parts = [(f"R{number}", content) for number in range(first, last)]
    await upsert_parts(transactions, WriteRequest(None, b""), parts, [("*",)] * len(parts), lambda _: b"")


async def test_plans_made_on_empty_tables_do_not_scan_large_ones(sql: asyncpg.Connection, content_dsn: str) -> None:
    set_current_request(CallContext(CALLER))
    await sql.execute("INSERT INTO category (category_id, name) VALUES ('resistors', 'Resistors')")
    await sql.execute("ANALYZE")
    database = await Database.open(content_dsn, application_name="test", max_size=1)
    transactions = WriteTransactions(TransactionManager(database), Handoff, lambda _: None)
    for number in range(12):  # PostgreSQL plans the first five executions one by one, then keeps a generic plan
        await import_parts(transactions, number, number + 1, "first")
    await database.pool.execute(FLUSH)
    before = await sql.fetchval(SCANS, GROWING)

    await import_parts(transactions, 100, 300, "first")
    await import_parts(transactions, 0, 300, "second")

    await database.pool.execute(FLUSH)
    await database.close()
    assert await sql.fetchval(SCANS, GROWING) == before
    assert await sql.fetchval("SELECT count(*) FROM part_version") == 12 + 200 + 212 + 88
