"""Which parts are published, as stored in this database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from changelog.cursor import Position
from inventory_svc.sql import STATEMENTS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping

    import asyncpg

    from chassis.database import Database

LOG = "content"  # the change log that has which parts are published


class VisibilityStore:
    """Reads and writes ``part_visibility``. Every write is idempotent."""

    def __init__(self, database: Database) -> None:
        """Use the pool of a database."""
        self._database = database

    async def published(self, part_ids: Collection[str]) -> frozenset[str]:
        """Return those among some parts that are published."""
        rows = await self._database.pool.fetch(STATEMENTS["select_published"], list(part_ids))
        return frozenset(row[0] for row in rows)

    async def position(self) -> Position | None:
        """Return the position up to which the content log is applied; ``None`` before the first snapshot."""
        row = await self._database.pool.fetchrow(STATEMENTS["select_visibility_position"])
        return Position(LOG, row["epoch"], row["revision"]) if row is not None else None

    async def upsert(self, published: Mapping[str, bool], revision: int) -> None:
        """Store whether some parts are published as of a revision, where it is newer than what is stored."""
        await _upsert(self._database.pool, published, revision)

    async def apply(self, changes: Mapping[int, Mapping[str, bool]], position: Position) -> None:
        """Store changes by revision, and the position up to which they go, in one transaction."""
        latest = {part_id: revision for revision, published in changes.items() for part_id in published}
        async with self._database.pool.acquire() as connection, connection.transaction():
            for revision, published in changes.items():
                newest = {part: published[part] for part in published if latest[part] == revision}
                await _upsert(connection, newest, revision)
            await connection.execute(STATEMENTS["advance_visibility_position"], position.epoch, position.revision)

    async def replace(self, pages: AsyncIterator[Mapping[str, bool]], position: Position) -> None:
        """Replace all rows by a snapshot as of a position. Readers get the old rows until it is complete."""
        async with self._database.own_connection() as connection, connection.transaction():
            await connection.execute(STATEMENTS["create_snapshot_table"])
            async for page in pages:
                await connection.execute(STATEMENTS["insert_snapshot_page"], list(page), list(page.values()))
            await connection.execute(STATEMENTS["delete_unlisted_parts"])
            await connection.execute(STATEMENTS["replace_visibility"], position.revision)
            await connection.execute(STATEMENTS["reset_visibility_position"], position.epoch, position.revision)


async def _upsert(
    connection: asyncpg.Connection[asyncpg.Record] | asyncpg.Pool[asyncpg.Record],
    published: Mapping[str, bool],
    revision: int,
) -> None:
    if published:
        await connection.execute(
            STATEMENTS["upsert_visibility"], list(published), list(published.values()), [revision] * len(published)
        )
