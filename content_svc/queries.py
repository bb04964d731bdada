"""Reads. What the public may not see is not there for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from changelog.visibility import PUBLIC, audience
from chassis.caller import current_caller, require
from chassis.database import Database
from chassis.errors import Overloaded, ResourceRef
from content_svc import rows
from content_svc.domain.category import Category, depth_first
from content_svc.domain.listing import DEFAULT_PAGE, PagePosition, PartListing, page_position, page_token
from content_svc.domain.part import Part
from content_svc.errors import CategoryNotFound, PartNotFound
from content_svc.sql import reads
from content_svc.sql.listing import page_query

# Each snapshot keeps a connection and an old view of the database for as long as its reader takes.
_SNAPSHOTS_AT_ONCE = 3
_SNAPSHOT_WAIT_SECONDS = 5.0
_SNAPSHOT_PREFETCH = 100
# A page ends early when its descriptions are long: 200 parts of 100,000 characters would not fit a message.
_PAGE_CHARACTERS = 2_000_000


@dataclass(frozen=True, slots=True)
class Found:
    """Parts, and the revision that covers them; ``None`` when nothing was found that could tell it."""

    parts: Sequence[Part]
    revision: int | None
    next_page_token: str = ""


class Queries:
    """Reads of one database."""

    def __init__(self, database: Database) -> None:
        """Use the database's pool."""
        self._database = database
        self._snapshots = asyncio.Semaphore(_SNAPSHOTS_AT_ONCE)

    async def get_part(self, part_id: str) -> Found:
        """One part; ``PartNotFound`` also for what the public may not see."""
        found = await self.get_parts([part_id])
        if not found.parts:
            raise PartNotFound(f"There is no part {part_id}.", resource=ResourceRef("part", part_id))
        return found

    async def get_parts(self, part_ids: Sequence[str]) -> Found:
        """Many parts in the order asked, each once; those not found, or not to be seen, are left out."""
        records = await self._database.pool.fetch(reads.PARTS_BY_ID, list(set(part_ids)))
        by_id = {record["part_id"]: rows.part_from_row(record) for record in records}
        parts = (by_id[part_id] for part_id in dict.fromkeys(part_ids) if part_id in by_id)
        return Found(_visible(parts), records[0]["log_revision"] if records else None)

    async def list_parts(self, listing: PartListing, page_size: int, token: str) -> Found:
        """A page. Raises ``PageTokenInvalid``, ``CategoryNotFound``, and needs a permission for unpublished parts."""
        if listing.status != "published":
            require("content:read")
        position = page_position(listing, token)
        limit = page_size or DEFAULT_PAGE
        categories = await self._subtree(listing.category_id) if listing.category_id else None
        query, arguments = page_query(listing, categories, position, limit + 1)
        records = await self._database.pool.fetch(query, *arguments)
        taken = _fitting(records[:limit])
        more = len(records) > len(taken)
        following = PagePosition(taken[-1]["page_key"], taken[-1]["part_id"]) if more else None
        return Found(
            _visible(map(rows.part_from_row, taken)),
            records[0]["log_revision"] if records else None,
            page_token(listing, following) if following else "",
        )

    async def _subtree(self, category_id: str) -> list[str]:
        records = await self._database.pool.fetch(reads.CATEGORY_SUBTREE, category_id)
        if not records:
            message = f"There is no category {category_id}."
            raise CategoryNotFound(message, resource=ResourceRef("category", category_id))
        return [record["category_id"] for record in records]

    async def list_categories(self) -> tuple[list[Category], int | None]:
        """The live tree, depth first, and the revision that covers it."""
        records = await self._database.pool.fetch(reads.CATEGORIES)
        tree = depth_first(map(rows.category_from_row, records))
        return tree, records[0]["log_revision"] if records else None

    async def snapshot(self, start_after: str) -> AsyncGenerator[int | Part, None]:
        """The revision of one moment, then every part as of then that the caller may see, by id."""
        query = reads.SNAPSHOT_PUBLIC if _is_public() else reads.SNAPSHOT_ALL
        async with self._snapshot_connection() as connection:
            position = await connection.fetchrow(reads.LOG_POSITION)
            yield int(position["log_revision"]) if position else 0
            async for record in connection.cursor(query, start_after, prefetch=_SNAPSHOT_PREFETCH):
                yield rows.part_from_row(record)

    @asynccontextmanager
    async def _snapshot_connection(self) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
        try:
            async with asyncio.timeout(_SNAPSHOT_WAIT_SECONDS):
                await self._snapshots.acquire()
        except TimeoutError:
            message = "Too many snapshots are being read: come again later."
            raise Overloaded(message, retry_after_seconds=_SNAPSHOT_WAIT_SECONDS) from None
        try:
            async with (
                self._database.own_connection() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                yield connection
        finally:
            self._snapshots.release()


def _is_public() -> bool:
    return audience(current_caller(), "content") == PUBLIC


def _visible(parts: Iterable[Part]) -> list[Part]:
    """Those that the caller may see; which of their fields, the border decides."""
    is_public = _is_public()
    return [part for part in parts if part.is_public or not is_public]


def _fitting(records: Sequence[asyncpg.Record]) -> Sequence[asyncpg.Record]:
    """The first records that together fit a message; at least one, if there is one."""
    total = 0
    for count, record in enumerate(records):
        total += len(record["description"])
        if total > _PAGE_CHARACTERS and count:
            return records[:count]
    return records
