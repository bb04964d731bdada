"""Write one category."""

from __future__ import annotations

from collections.abc import Callable

from chassis.caller import require
from content_svc.domain.category import Category, validate_category
from content_svc.store.categories import insert_category
from content_svc.store.write_transactions import Connection, WriteRequest, WriteResult, WriteTransactions


async def create_category(
    transactions: WriteTransactions, request: WriteRequest, category: Category, encode: Callable[[Category], bytes]
) -> WriteResult[Category]:
    """Create a category. Raise ``CategoryExists``; ``FieldInvalid`` also when the parent does not exist."""
    require("content:write")
    validate_category(category)

    async def effect(connection: Connection) -> Category:
        return await insert_category(connection, category)

    return await transactions.run_once(request, effect, encode)
