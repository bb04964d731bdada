"""Reads of the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from chassis.errors import ResourceRef
from chassis.page_tokens import PageTokenCodec
from inventory_svc.domain.stock import Movement, Origin
from inventory_svc.errors import MovementNotFound, PartNotFound
from inventory_svc.sql import STATEMENTS

if TYPE_CHECKING:
    import asyncpg

    from chassis.database import Database
    from inventory_svc.domain.stock import LevelKey

_MICROSECOND = timedelta(microseconds=1)
_FIRST = datetime.min.replace(tzinfo=UTC) + _MICROSECOND
_page_tokens = PageTokenCodec()


@dataclass(frozen=True, slots=True)
class MovementFilter:
    """Filter of movements; ``None`` and empty do not filter."""

    part_id: str
    location_id: str
    since: datetime | None
    until: datetime | None
    kinds: tuple[str, ...]
    actor: str
    request_id: str


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """A movement and the source that wrote it, ``service`` or ``sql``."""

    movement: Movement
    source: str


class LedgerQueries:
    """Reads of movements."""

    def __init__(self, database: Database) -> None:
        """Read through the pool."""
        self._database = database

    async def list_movements(
        self, where: MovementFilter, page_size: int, page_token: str
    ) -> tuple[list[LedgerRow], str, int | None]:
        """Return a page of the ledger of a part, newest first. Raise ``PartNotFound`` for a part without levels."""
        before, location_id, version = _page_tokens.decode(page_token, where, (datetime, str, int)) or (None, "", 0)
        rows = await self._database.pool.fetch(
            STATEMENTS["select_movements_page"],
            where.part_id,
            where.location_id,
            where.since and max(where.since, _FIRST) - _MICROSECOND,
            where.until,
            list(where.kinds) or None,
            where.actor,
            where.request_id,
            page_size + 1,
            before,
            location_id,
            version,
        )
        if not rows and not await self._database.pool.fetch(STATEMENTS["select_levels_of_parts"], [where.part_id]):
            message = f"There is no stock of {where.part_id}."
            raise PartNotFound(message, resource=ResourceRef("part", where.part_id))
        found = [_ledger_row(row) for row in rows[:page_size]]
        token = ""
        if len(rows) > page_size:
            last = found[-1].movement
            token = _page_tokens.encode(where, last.occurred_at, last.location_id, last.version)
        return found, token, rows[0]["revision"] if rows else None

    async def movement(self, key: LevelKey, version: int) -> Movement:
        """Return one movement. Raise ``MovementNotFound``."""
        row = await self._database.pool.fetchrow(STATEMENTS["select_movement"], *key, version)
        if row is None:
            message = f"The stock of {key[0]} at {key[1]} has no movement with version {version}."
            raise MovementNotFound(message, resource=ResourceRef("movement", f"{key[0]}/{key[1]}/{version}"))
        return _ledger_row(row).movement

    async def movement_at(self, key: LevelKey, timestamp: datetime) -> tuple[LedgerRow | None, int | None]:
        """Return the last movement of a level at or before a timestamp, ``None`` before its first."""
        row = await self._database.pool.fetchrow(STATEMENTS["select_movement_at"], *key, timestamp)
        if row is not None:
            return _ledger_row(row), row["revision"]
        if await self._database.pool.fetchval(STATEMENTS["select_level_exists"], *key) is None:
            message = f"There is no stock of {key[0]} at {key[1]}."
            raise PartNotFound(message, resource=ResourceRef("stock_level", "/".join(key)))
        return None, None


def _ledger_row(row: asyncpg.Record) -> LedgerRow:
    origin = Origin(row["actor"], row["actor_name"], row["client_ip"], row["request_id"], row["traceparent"])
    movement = Movement(
        row["part_id"],
        row["location_id"],
        row["version"],
        row["kind"],
        row["on_hand_delta"],
        row["reserved_delta"],
        row["on_hand_after"],
        row["reserved_after"],
        origin,
        row["reason"],
        row["occurred_at"],
        row["reservation_id"],
        row["reverses_version"],
    )
    return LedgerRow(movement, row["source"])
