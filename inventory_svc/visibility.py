"""Which parts are published, as this database has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from changelog.cursor import Position
from inventory_svc.sql import visibility as statements

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping

    import asyncpg

    from chassis.database import Database

LOG = "content"  # the log that says which parts are published


class VisibilityStore:
    """Reads and writes ``part_visibility``. Writing twice is as writing once."""

    def __init__(self, database: Database) -> None:
        """Use the database's pool."""
        self._database = database

    async def published(self, part_ids: Collection[str]) -> frozenset[str]:
        """Those among some parts that are published."""
        rows = await self._database.pool.fetch(statements.PUBLISHED, list(part_ids))
        return frozenset(row[0] for row in rows)

    async def position(self) -> Position | None:
        """Up to where the content log is applied; ``None`` before the first snapshot."""
        row = await self._database.pool.fetchrow(statements.POSITION)
        return Position(LOG, row["epoch"], row["revision"]) if row is not None else None

    async def keep(self, known: Mapping[str, bool], revision: int) -> None:
        """Keep what a revision says of some parts, where it is newer."""
        await _keep(self._database.pool, known, revision)

    async def apply(self, changes: Mapping[int, Mapping[str, bool]], position: Position) -> None:
        """Keep what the changes up to a position say, by revision, and the position, in one transaction."""
        latest = {part_id: revision for revision, known in changes.items() for part_id in known}
        async with self._database.pool.acquire() as connection, connection.transaction():
            for revision, known in changes.items():
                await _keep(connection, {part: known[part] for part in known if latest[part] == revision}, revision)
            await connection.execute(statements.ADVANCE, position.epoch, position.revision)

    async def replace(self, pages: AsyncIterator[Mapping[str, bool]], position: Position) -> None:
        """Replace everything by a snapshot as of a position. Until it is whole, readers see what was there before."""
        async with self._database.own_connection() as connection, connection.transaction():
            await connection.execute(statements.GATHER)
            async for page in pages:
                await connection.execute(statements.GATHER_PAGE, list(page), list(page.values()))
            await connection.execute(statements.DROP_UNGATHERED)
            await connection.execute(statements.REPLACE, position.revision)
            await connection.execute(statements.RESTART, position.epoch, position.revision)


async def _keep(
    connection: asyncpg.Connection[asyncpg.Record] | asyncpg.Pool[asyncpg.Record],
    known: Mapping[str, bool],
    revision: int,
) -> None:
    if known:
        await connection.execute(statements.KEEP, list(known), list(known.values()), [revision] * len(known))
