"""Reads of the audit trail: its position, and pages of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

import msgspec
from piccolo.querystring import QueryString

from tasks.audit.sql import STATEMENTS
from tasks.audit.tables import DataChangeLog

if TYPE_CHECKING:
    import asyncpg
    from piccolo.query.methods.select import Select

    from chassis.database import Database, Row

    Connection: TypeAlias = asyncpg.pool.PoolConnectionProxy[asyncpg.Record] | asyncpg.Pool[asyncpg.Record]

MAX_PAGE_SIZE = 200


@dataclass(frozen=True, slots=True)
class TrailPosition:
    """The position of the trail: every entry up to ``revision`` of ``epoch`` is stored."""

    epoch: UUID
    revision: int


@dataclass(frozen=True, slots=True)
class ChangeFilter:
    """Conditions on rows: each given field must be equal, and ``since <= occurred_at < until``."""

    part_id: str | None = None
    actor: str | None = None
    service: str | None = None
    entity: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class PageKey:
    """The last row of a page; the next page begins after it."""

    occurred_at: datetime
    id: int


class RecordedChange(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the trail, as ``GET /admin/audit`` shows it."""

    service: str
    epoch: UUID
    revision: int
    ordinal: int
    entity: str
    entity_id: str
    part_id: str | None
    operation: str
    old: dict[str, Any] | None
    new: dict[str, Any] | None
    changed_fields: list[str]
    details: dict[str, Any] | None
    actor: str
    actor_id: str
    source: str
    client_ip: str
    request_id: str
    reason: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class ChangePage:
    """Rows, newest first, and the key of the next page; ``None`` after the last page."""

    items: list[RecordedChange]
    next_key: PageKey | None


async def position_of(connection: Connection, service: str) -> TrailPosition | None:
    """Return the greatest contiguous revision stored for a service; ``None`` while nothing is stored."""
    row = await connection.fetchrow(STATEMENTS["read_position"], service)
    return None if row is None else TrailPosition(row["epoch"], row["revision"])


async def list_changes(
    database: Database, wanted: ChangeFilter, *, page_size: int = 50, after: PageKey | None = None
) -> ChangePage:
    """Return a page of the trail, newest first. ``page_size`` is limited to 1-200."""
    size = min(max(page_size, 1), MAX_PAGE_SIZE)
    rows = await database.run(_query(wanted, after).limit(size + 1))
    shown = rows[:size]
    more = PageKey(shown[-1]["occurred_at"], shown[-1]["id"]) if len(rows) > size else None
    return ChangePage([_recorded(row) for row in shown], more)


def _query(wanted: ChangeFilter, after: PageKey | None) -> Select[DataChangeLog]:
    change = DataChangeLog
    query = change.select(*change.all_columns(exclude=[change.traceparent, change.recorded_at]))
    query = query.order_by(change.occurred_at, change.id, ascending=False)
    for column, value in (
        (change.part_id, wanted.part_id),
        (change.actor, wanted.actor),
        (change.service, wanted.service),
        (change.entity, wanted.entity),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.since is not None:
        query = query.where(change.occurred_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(change.occurred_at < wanted.until)
    if after is not None:
        # The first condition lets the planner leave out partitions; the comparison of rows alone does not.
        query = query.where(change.occurred_at <= after.occurred_at).where(
            QueryString('("occurred_at", "id") < ({}, {})', after.occurred_at, after.id)
        )
    return query


def _recorded(row: Row) -> RecordedChange:
    values = dict(row)
    del values["id"]
    for name in ("old", "new", "details"):
        values[name] = None if values[name] is None else msgspec.json.decode(values[name])
    if values["entity"] == "reservation":
        for name in ("old", "new"):
            _hide_owner_key(values[name])
    return RecordedChange(**values)


def _hide_owner_key(state: dict[str, Any] | None) -> None:
    """Remove the unhashed keys of guests, which old rows hold: a user id is shown, anything else is a key."""
    if state and state.get("owner"):
        try:
            UUID(state["owner"])
        except ValueError:
            state["owner"] = ""
