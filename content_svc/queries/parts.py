"""Reads of parts. A caller without permission reads published parts only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import asyncpg

from changelog.visibility import PUBLIC, audience
from chassis.caller import current_caller, require
from chassis.database import Database
from chassis.errors import Overloaded, ResourceRef
from chassis.page_tokens import PageTokenCodec
from content_svc.domain.listing import DEFAULT_PAGE, PagePosition, PartListing
from content_svc.domain.part import Part
from content_svc.errors import CategoryNotFound
from content_svc.sql import STATEMENTS
from content_svc.store import rows
from content_svc.store.part_listing import page_statement
from content_svc.store.parts import part_not_found

# Each snapshot holds a connection and an old snapshot of the database for as long as its reader takes.
_CONCURRENT_SNAPSHOTS: Final = 3
_SNAPSHOT_WAIT_SECONDS: Final = 5.0
_SNAPSHOT_PREFETCH: Final = 100
# A page ends early when its descriptions are long: 200 parts of 100,000 characters do not fit a message.
_PAGE_CHARACTERS: Final = 2_000_000

_TOKENS: Final = PageTokenCodec()


@dataclass(frozen=True, slots=True)
class PartsRead:
    """Parts, and the revision that covers them; ``None`` when no row was found that holds it."""

    parts: Sequence[Part]
    revision: int | None
    next_page_token: str = ""


class PartQueries:
    """Pages, single parts and snapshots."""

    def __init__(self, database: Database) -> None:
        """Read through the pool."""
        self._database = database
        self._snapshots = asyncio.Semaphore(_CONCURRENT_SNAPSHOTS)

    async def get_part(self, part_id: str) -> PartsRead:
        """Return one part. Raise ``PartNotFound``, also for a part that the caller cannot see."""
        read = await self.get_parts([part_id])
        if not read.parts:
            raise part_not_found(part_id)
        return read

    async def get_parts(self, part_ids: Sequence[str]) -> PartsRead:
        """Return parts in the order of their ids as given, each once, without those that the caller cannot see."""
        records = await self._database.pool.fetch(STATEMENTS["select_parts"], list(set(part_ids)))
        by_id = {record["part_id"]: rows.part_from_row(record) for record in records}
        parts = (by_id[part_id] for part_id in dict.fromkeys(part_ids) if part_id in by_id)
        return PartsRead(_visible(parts), _revision(records))

    async def list_parts(self, listing: PartListing, page_size: int, page_token: str) -> PartsRead:
        """Return a page. Raise ``PageTokenInvalid``, ``CategoryNotFound``; unpublished parts need ``content:read``."""
        if listing.status != "published":
            require("content:read")
        position = _TOKENS.decode(page_token, listing, (listing.key_type, str))
        limit = page_size or DEFAULT_PAGE
        categories = await self._subtree(listing.category_id) if listing.category_id else None
        after = PagePosition(*position) if position else None
        statement, arguments = page_statement(listing, categories, after, limit + 1)
        records = await self._database.pool.fetch(statement, *arguments)
        page = _fitting(records[:limit])
        more = len(records) > len(page)
        next_page_token = _TOKENS.encode(listing, page[-1]["page_key"], page[-1]["part_id"]) if more else ""
        return PartsRead(_visible(map(rows.part_from_row, page)), _revision(records), next_page_token)

    async def _subtree(self, category_id: str) -> list[str]:
        records = await self._database.pool.fetch(STATEMENTS["select_subtree"], category_id)
        if not records:
            message = f"The category {category_id} does not exist."
            raise CategoryNotFound(message, resource=ResourceRef("category", category_id))
        return [record["category_id"] for record in records]

    async def snapshot(self, start_after: str) -> AsyncGenerator[int | Part, None]:
        """Yield a revision, then by id every part as of that revision that the caller can see."""
        async with self._snapshot_connection() as connection:
            yield await connection.fetchval(STATEMENTS["select_revision"]) or 0
            parts = connection.cursor(
                STATEMENTS["select_parts_after"], start_after, _is_public(), prefetch=_SNAPSHOT_PREFETCH
            )
            async for record in parts:
                yield rows.part_from_row(record)

    @asynccontextmanager
    async def _snapshot_connection(self) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
        try:
            async with asyncio.timeout(_SNAPSHOT_WAIT_SECONDS):
                await self._snapshots.acquire()
        except TimeoutError:
            message = "Too many snapshots are read at once. Retry later."
            raise Overloaded(message, retry_after_seconds=_SNAPSHOT_WAIT_SECONDS) from None
        try:
            async with (
                self._database.own_connection() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                yield connection
        finally:
            self._snapshots.release()


def _revision(records: Sequence[asyncpg.Record]) -> int | None:
    return records[0]["log_revision"] if records else None


def _is_public() -> bool:
    return audience(current_caller(), "content") == PUBLIC


def _visible(parts: Iterable[Part]) -> list[Part]:
    """Return the parts that the caller can see; the servicer removes fields that it cannot."""
    is_public = _is_public()
    return [part for part in parts if part.is_public or not is_public]


def _fitting(records: Sequence[asyncpg.Record]) -> Sequence[asyncpg.Record]:
    """Return the first records that together fit a message; at least one, if there is one."""
    total = 0
    for count, record in enumerate(records):
        total += len(record["description"])
        if total > _PAGE_CHARACTERS and count:
            return records[:count]
    return records
