"""Reads of categories."""

from __future__ import annotations

from chassis.database import Database
from content_svc.domain.category import Category, depth_first
from content_svc.sql import STATEMENTS
from content_svc.store.rows import category_from_row


class CategoryQueries:
    """The tree of categories."""

    def __init__(self, database: Database) -> None:
        """Read through the pool."""
        self._database = database

    async def list_categories(self) -> tuple[list[Category], int | None]:
        """Return the live categories, depth first, and the revision that covers them."""
        records = await self._database.pool.fetch(STATEMENTS["select_categories"])
        tree = depth_first(map(category_from_row, records))
        return tree, records[0]["log_revision"] if records else None
