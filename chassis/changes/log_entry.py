"""Entries of a change log, as the database holds them, and pages of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from chassis.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import asyncpg

# Entries after a revision, oldest first, beside the log's epoch: one row without an entry when there is none. The
# columns are those of `LogEntry`, in its order, and two more.
PAGE = """
SELECT l.*, i.epoch AS log_epoch FROM change_log_identity AS i LEFT JOIN LATERAL (
    SELECT revision, epoch, transaction_id, entity, entity_id, version, operation, before::text, after::text,
        details::text, actor, actor_name, source, client_ip, request_id, traceparent, reason, committed_at, hash
    FROM change_log WHERE revision > $1 ORDER BY revision LIMIT $2
) AS l ON true ORDER BY l.revision
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
    """Entries, and the epoch of the log at the same moment. ``full`` says that more may follow."""

    epoch: UUID
    entries: list[LogEntry]
    full: bool


def page_of(rows: Sequence[asyncpg.Record], limit: int) -> LogPage:
    """The page that the rows of ``PAGE`` make."""
    if not rows:
        message = "The log has no identity."
        raise StoreUnavailable(message)
    entries = [] if rows[0]["revision"] is None else [_entry(row) for row in rows]
    return LogPage(rows[0]["log_epoch"], entries, len(entries) == limit)


def _entry(row: asyncpg.Record) -> LogEntry:
    values = list(row)[:18]
    values[_JSON_COLUMNS] = [None if text is None else _decode(text) for text in values[_JSON_COLUMNS]]
    return LogEntry(*values)
