"""Categories in the database."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from chassis.errors import ResourceRef
from content_svc.domain.category import Category
from content_svc.errors import CategoryExists
from content_svc.sql import STATEMENTS
from content_svc.store import rows

if TYPE_CHECKING:
    from content_svc.store.write_transactions import Connection


async def lock_categories(connection: Connection, category_ids: Collection[str]) -> set[str]:
    """Return the live ones of some categories; none of them can be deleted before the commit."""
    found = await connection.fetch(STATEMENTS["lock_categories"], sorted(category_ids))
    return {row["category_id"] for row in found}


async def insert_category(connection: Connection, category: Category) -> Category:
    """Insert a category and return it as stored. Raise ``CategoryExists``."""
    row = await connection.fetchrow(
        STATEMENTS["insert_category"], category.category_id, category.parent_id, category.name, category.position
    )
    if row is None:
        message = f"The category {category.category_id} exists already."
        raise CategoryExists(message, resource=ResourceRef("category", category.category_id))
    return rows.category_from_row(row)
