"""Reading the audit trail: where it stands, and pages of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

import msgspec

if TYPE_CHECKING:
    import asyncpg

    Connection: TypeAlias = asyncpg.pool.PoolConnectionProxy[asyncpg.Record] | asyncpg.Pool[asyncpg.Record]

MAX_PAGE_SIZE = 200

# The epoch recorded last, and the greatest revision stored in it. Both are one step down an index in each partition.
POSITION = """
SELECT latest.epoch, (SELECT max(revision) FROM data_change WHERE service = $1 AND epoch = latest.epoch) AS revision
FROM (SELECT epoch FROM data_change WHERE service = $1 ORDER BY id DESC LIMIT 1) AS latest
"""

# A page, newest first. The conditions are made of parts below; every value is a parameter.
PAGE = """
SELECT id, service, epoch, revision, ordinal, entity, entity_id, part_id, operation, old, new, changed_fields, details,
    actor, actor_id, source, client_ip, request_id, reason, occurred_at
FROM data_change
WHERE {conditions}
ORDER BY occurred_at DESC, id DESC
LIMIT {limit}
"""


@dataclass(frozen=True, slots=True)
class TrailPosition:
    """How far the trail reaches: every entry up to ``revision`` of ``epoch`` is stored."""

    epoch: UUID
    revision: int


@dataclass(frozen=True, slots=True)
class ChangeFilter:
    """Which rows: each given field must match; times are ``since <= occurred_at < until``."""

    part_id: str | None = None
    actor: str | None = None
    service: str | None = None
    entity: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class PageKey:
    """The last row of a page, from which the next one goes on."""

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
    """Rows, newest first, and where the next page begins; ``None`` after the last one."""

    items: list[RecordedChange]
    next_key: PageKey | None


async def position_of(connection: Connection, service: str) -> TrailPosition | None:
    """The greatest contiguous revision stored for a service; ``None`` while nothing is."""
    row = await connection.fetchrow(POSITION, service)
    return None if row is None else TrailPosition(row["epoch"], row["revision"])


async def list_changes(
    connection: Connection, wanted: ChangeFilter, *, page_size: int = 50, after: PageKey | None = None
) -> ChangePage:
    """A page of the trail, newest first. ``page_size`` is cut to 1-200."""
    size = min(max(page_size, 1), MAX_PAGE_SIZE)
    conditions, arguments = _conditions(wanted, after)
    arguments.append(size + 1)
    query = PAGE.format(conditions=" AND ".join(conditions) or "true", limit=f"${len(arguments)}")
    rows = await connection.fetch(query, *arguments)
    shown = rows[:size]
    more = PageKey(shown[-1]["occurred_at"], shown[-1]["id"]) if len(rows) > size else None
    return ChangePage([_recorded(row) for row in shown], more)


def _conditions(wanted: ChangeFilter, after: PageKey | None) -> tuple[list[str], list[Any]]:
    conditions: list[str] = []
    arguments: list[Any] = []
    tests = (
        ("part_id = {}", wanted.part_id),
        ("actor = {}", wanted.actor),
        ("service = {}", wanted.service),
        ("entity = {}", wanted.entity),
        ("occurred_at >= {}", wanted.since),
        ("occurred_at < {}", wanted.until),
    )
    for test, value in tests:
        if value is not None:
            arguments.append(value)
            conditions.append(test.format(f"${len(arguments)}"))
    if after is not None:
        arguments += [after.occurred_at, after.id]
        time, key = len(arguments) - 1, len(arguments)
        # The first test lets the planner leave out partitions; the row comparison alone does not.
        conditions += [f"occurred_at <= ${time}", f"(occurred_at, id) < (${time}, ${key})"]
    return conditions, arguments


def _recorded(row: asyncpg.Record) -> RecordedChange:
    values = dict(row)
    del values["id"]
    for name in ("old", "new", "details"):
        values[name] = None if values[name] is None else msgspec.json.decode(values[name])
    if values["entity"] == "reservation":
        for name in ("old", "new"):
            _hide_owner_key(values[name])
    return RecordedChange(**values)


def _hide_owner_key(state: dict[str, Any] | None) -> None:
    """Take out what rows of before the keys of guests were hashed hold: a user id is shown, anything else is a key."""
    if state and state.get("owner"):
        try:
            UUID(state["owner"])
        except ValueError:
            state["owner"] = ""
