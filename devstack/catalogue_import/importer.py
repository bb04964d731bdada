"""Imports one catalogue file: reads, puts right, and keeps a few batches under way at a time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from devstack.catalogue_import.part_message import part_message
from devstack.catalogue_import.prepare import prepared_batches
from devstack.task_errors import first_error_only

if TYPE_CHECKING:
    from collections.abc import Callable

    from devstack.catalogue_import.category_writer import CategoryWriter
    from devstack.catalogue_import.part_writer import PartWriter
    from devstack.catalogue_import.prepare import PreparedRow
    from devstack.catalogue_import.report import Report
    from devstack.catalogue_import.source import CatalogueFile
    from devstack.catalogue_import.stock_writer import StockWriter

BATCH_ROWS = 500  # the most that BatchUpsertParts takes
BATCHES_UNDER_WAY = 3  # one in each service and one being read keep all of them busy; more only holds memory


class CatalogueImport:
    """Writes the rows of a file through the three writers."""

    def __init__(
        self, categories: CategoryWriter, parts: PartWriter, stock: StockWriter, report: Report, currency: str
    ) -> None:
        self._categories = categories
        self._parts = parts
        self._stock = stock
        self._report = report
        self._currency = currency

    async def run(self, file: CatalogueFile, progress: Callable[[int, int], None]) -> None:
        """Import the whole file; `progress` is told bytes and rows read.

        Raises FileUnreadable, ServiceGone, and PartstreamError for what a service refuses as a whole.
        """
        await self._categories.load()
        under_way = asyncio.Semaphore(BATCHES_UNDER_WAY)
        with first_error_only():
            async with asyncio.TaskGroup() as group:
                for batch in prepared_batches(file, self._report, BATCH_ROWS):
                    progress(file.position, self._report.counts["rows"])
                    await under_way.acquire()
                    # Categories one batch after the other: two batches at once would create the same one.
                    placed = [(row, await self._categories.category_id(row)) for row in batch]
                    task = group.create_task(self._write(placed))
                    task.add_done_callback(lambda _: under_way.release())
        progress(file.size, self._report.counts["rows"])

    async def _write(self, placed: list[tuple[PreparedRow, str]]) -> None:
        messages = [(row, part_message(row.part, category, self._currency)) for row, category in placed]
        accepted = await self._parts.write(messages)
        await self._stock.write(accepted)
        for row in accepted:
            self._report.note(row.line, row.part.sku, row.notes)
