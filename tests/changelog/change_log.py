"""A small table with a change log, for tests of the log itself: the minimum of a service's migration."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from changelog.feed import ChangeFeed
from changelog.log_reader import LogReader
from chassis.database import Database
from partstream.inventory.v1 import stock_change_pb2
from stack.checkout import ROOT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from changelog.log_entry import LogEntry

CHANGE_LOG = (ROOT / "changelog" / "schema.sql").read_text()
THING = """
CREATE TABLE thing (thing_id text PRIMARY KEY, amount int NOT NULL, version bigint NOT NULL DEFAULT 1);
CREATE FUNCTION log_thing() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM change_log_append('thing', NEW.thing_id, NEW.version,
        CASE WHEN TG_OP = 'INSERT' THEN 'created' ELSE 'updated' END,
        CASE WHEN TG_OP = 'UPDATE' THEN to_jsonb(OLD) END, to_jsonb(NEW), NULL,
        current_setting('partstream.actor', true), NULL, 'sql', NULL, NULL, NULL, NULL);
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER log_thing AFTER INSERT OR UPDATE ON thing DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION log_thing();
"""

INSERT = "INSERT INTO thing VALUES ($1, $2)"


def encode(entry: LogEntry, audience: str) -> bytes:
    """Return a message of the contract; things whose name starts with `secret` are for staff only."""
    if audience == "public" and entry.entity_id.startswith("secret"):
        return b""
    change = stock_change_pb2.StockChange(revision=entry.revision, entity_id=entry.entity_id, version=entry.version)
    change.traceparent = entry.traceparent
    change.commit_time.FromDatetime(entry.committed_at)
    return change.SerializeToString()


def keys(entry: LogEntry) -> frozenset[str]:
    """Return the id of the thing."""
    return frozenset({entry.entity_id})


@asynccontextmanager
async def open_log(dsn: str) -> AsyncIterator[Database]:
    """Open a database with a log and a table of things."""
    database = await Database.open(dsn, application_name="test", max_size=10)
    try:
        await database.pool.execute(CHANGE_LOG + THING)
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def open_feed(database: Database, **bounds: int) -> AsyncIterator[ChangeFeed]:
    """Run a feed of the log."""
    feed = ChangeFeed(LogReader(database, "inventory"), encode, keys, **bounds)
    await feed.start()
    try:
        yield feed
    finally:
        await feed.stop()
