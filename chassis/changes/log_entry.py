"""Entries of a change log, as the database holds them, and pages of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from chassis.errors import StoreUnavailable

if TYPE_CHECKING:
    from typing import TypeAlias

    import asyncpg

    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | asyncpg.Pool[asyncpg.Record]

# Entries after a revision, oldest first, beside the log's epoch: one row without an entry when there is none. The
# columns are those of `LogEntry`, in its order, and two more.
PAGE = """
SELECT l.*, i.epoch AS log_epoch FROM change_log_identity AS i LEFT JOIN LATERAL (
    SELECT revision, epoch, transaction_id, entity, entity_id, version, operation, before::text, after::text,
        details::text, actor, actor_name, source, client_ip, request_id, traceparent, reason, committed_at, hash
    FROM change_log WHERE revision > $1 ORDER BY revision LIMIT $2
) AS l ON true ORDER BY l.revision
"""

# Entries between two revisions, of a kind and of some ids; the function is in ``lookup_schema``.
FIND = """
SELECT revision, epoch, transaction_id, entity, entity_id, version, operation, before::text, after::text,
    details::text, actor, actor_name, source, client_ip, request_id, traceparent, reason, committed_at
FROM change_log_find($1, $2, $3, $4, $5)
"""
_JSON_COLUMNS = slice(7, 10)
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A committed change. ``before``, ``after`` and ``details`` are decoded JSON, ``None`` when absent."""

    revision: int
    epoch: UUID
    transaction_id: int
    entity: str
    entity_id: str
    version: int
    operation: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    details: dict[str, Any] | None
    actor: str
    actor_name: str
    source: str
    client_ip: str
    request_id: str
    traceparent: str
    reason: str
    committed_at: datetime


@dataclass(frozen=True, slots=True)
class LogPage:
    """Entries, and the epoch of the log at the same moment."""

    epoch: UUID
    entries: list[LogEntry]
    more: bool  # whether more follow
    is_whole: bool  # whether the last entry's transaction ends with it


async def read_page(connection: Connection, after: int, limit: int) -> tuple[LogPage, bytes | None]:
    """Up to ``limit`` entries after a revision, and the hash of the last one."""
    rows = await connection.fetch(PAGE, after, limit + 1)  # one more, to see what follows
    if not rows:
        message = "The log has no identity."
        raise StoreUnavailable(message)
    epoch = rows[0]["log_epoch"]
    if rows[0]["revision"] is None:
        return LogPage(epoch, [], more=False, is_whole=True), None
    entries = [entry_of(row) for row in rows[:limit]]
    more = len(rows) > limit
    is_whole = not more or _transaction(rows[-1]) != _transaction(rows[-2])
    return LogPage(epoch, entries, more, is_whole), rows[len(entries) - 1]["hash"]


def _transaction(row: asyncpg.Record) -> tuple[UUID, int]:
    return row["epoch"], row["transaction_id"]


def entry_of(row: asyncpg.Record) -> LogEntry:
    """The entry in a row whose first columns are those of ``LogEntry``."""
    values = list(row)[:18]
    values[_JSON_COLUMNS] = [None if text is None else _decode(text) for text in values[_JSON_COLUMNS]]
    return LogEntry(*values)
