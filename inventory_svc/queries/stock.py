"""Reads of stock levels and locations."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chassis.page_tokens import PageTokenCodec
from inventory_svc.domain.stock import Location, PublicStock, StockLevel
from inventory_svc.sql import STATEMENTS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    import asyncpg

    from chassis.database import Database
    from inventory_svc.domain.stock import LevelKey

SNAPSHOT_PAGE_ROWS = 2000  # about 200 KB of message
_page_tokens = PageTokenCodec()


@dataclass(frozen=True, slots=True)
class LevelFilter:
    """Filter of levels; ``None`` and empty do not filter."""

    location_id: str
    low_stock: bool | None
    in_stock: bool | None
    show_archived: bool


class StockQueries:
    """Reads of levels and locations."""

    def __init__(self, database: Database) -> None:
        """Read through the pool."""
        self._database = database

    async def levels_of(
        self, part_ids: Sequence[str], *, only_published: bool = False
    ) -> tuple[list[StockLevel], int | None]:
        """Return every level of some parts, by part and location; the revision is ``None`` when there are none."""
        name = "select_levels_of_published_parts" if only_published else "select_levels_of_parts"
        rows = await self._database.pool.fetch(STATEMENTS[name], part_ids)
        return [_level(row) for row in rows], rows[0]["revision"] if rows else None

    async def entity_ids_of(self, part_ids: Sequence[str]) -> list[str]:
        """Return the ids under which the change log has the levels of some parts."""
        rows = await self._database.pool.fetch(STATEMENTS["select_entity_ids_of_parts"], part_ids)
        return [row[0] for row in rows]

    async def list_levels(
        self, where: LevelFilter, page_size: int, page_token: str
    ) -> tuple[list[StockLevel], str, int | None]:
        """Return a page of levels, the next page token, the revision."""
        position = _page_tokens.decode(page_token, where, (str, str)) or ("", "")
        rows = await self._database.pool.fetch(
            STATEMENTS["select_levels_page"],
            *position,
            where.location_id,
            where.low_stock,
            where.in_stock,
            where.show_archived,
            page_size + 1,
        )
        levels = [_level(row) for row in rows[:page_size]]
        token = _page_tokens.encode(where, *levels[-1].key) if len(rows) > page_size else ""
        return levels, token, rows[0]["revision"] if rows else None

    async def list_public(
        self, where: LevelFilter, page_size: int, page_token: str
    ) -> tuple[list[PublicStock], str, int | None]:
        """Return a page of published parts, each summed over its locations, the next page token, the revision."""
        position = _page_tokens.decode(page_token, (where, "by part"), (str,)) or ("",)
        rows = await self._database.pool.fetch(
            STATEMENTS["select_public_page"], *position, where.low_stock, where.in_stock, page_size + 1
        )
        found = [_public(row) for row in rows[:page_size]]
        token = _page_tokens.encode((where, "by part"), found[-1].part_id) if len(rows) > page_size else ""
        return found, token, rows[0]["revision"] if rows else None

    async def locations(self) -> tuple[list[Location], int | None]:
        """Return every location, by id, and the revision."""
        rows = await self._database.pool.fetch(STATEMENTS["select_locations"])
        found = [Location(row["location_id"], row["name"], row["archived_at"]) for row in rows]
        return found, rows[0]["revision"] if rows else None

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        """Yield all levels as of one revision, read on a connection of its own."""
        async with (
            self._database.own_connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            revision = await connection.fetchval(STATEMENTS["select_revision"])
            yield Snapshot(connection, revision or 0)


class Snapshot:
    """Pages of levels, all as of one revision."""

    def __init__(self, connection: Any, revision: int) -> None:
        """Read on a connection inside a repeatable-read transaction."""
        self._connection = connection
        self.revision = revision

    async def pages(self, start_after: LevelKey) -> AsyncIterator[list[StockLevel]]:
        """Yield pages in order of part and location, one in memory at a time."""
        position = start_after
        while rows := await self._connection.fetch(STATEMENTS["select_snapshot_page"], *position, SNAPSHOT_PAGE_ROWS):
            levels = [_level(row) for row in rows]
            yield levels
            position = levels[-1].key

    async def public_pages(self, start_after: str) -> AsyncIterator[list[PublicStock]]:
        """Yield pages of published parts in order, each summed over its locations."""
        position = start_after
        while rows := await self._connection.fetch(
            STATEMENTS["select_public_page"], position, None, None, SNAPSHOT_PAGE_ROWS
        ):
            found = [_public(row) for row in rows]
            yield found
            position = found[-1].part_id


def _public(row: asyncpg.Record) -> PublicStock:
    return PublicStock(*tuple(row)[:4])


def _level(row: asyncpg.Record) -> StockLevel:
    return StockLevel(*tuple(row)[:10])
