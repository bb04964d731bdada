"""Imports one catalogue file: reads, puts right, and keeps a few batches under way at a time."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING

from cli.catalogue_import.part_message import part_message
from cli.catalogue_import.prepare import prepared_batches
from devstack.service_calls.task_errors import first_error_only

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.catalogue_import.category_writer import CategoryWriter
    from cli.catalogue_import.part_writer import PartWriter
    from cli.catalogue_import.prepare import PreparedRow
    from cli.catalogue_import.report import Report
    from cli.catalogue_import.source import CatalogueFile
    from cli.catalogue_import.stock_writer import StockWriter

BATCH_ROWS = 500  # the most that BatchUpsertParts takes
BATCHES_UNDER_WAY = 3  # one in each service and one being prepared keep all of them busy; more only holds memory
# Batches between which categories are made. A category made beside a batch of parts waits for its whole commit, about
# 0.2 s each: 1,300 of them took four minutes that way, and take seconds while no part is being written.
BATCHES_PER_STRETCH = 8


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
        self._under_way = asyncio.Semaphore(BATCHES_UNDER_WAY)
        self._rows_written = 0

    async def run(self, file: CatalogueFile, progress: Callable[[int, int], None]) -> None:
        """Import the whole file; `progress` is told bytes read and rows written.

        Raises FileUnreadable, ServiceGone, and PartstreamError for what a service refuses as a whole.
        """
        await self._categories.load()
        batches = prepared_batches(file, self._report, BATCH_ROWS)
        while stretch := list(islice(batches, BATCHES_PER_STRETCH)):
            categories = [await self._categories.place(batch) for batch in stretch]
            with first_error_only():
                async with asyncio.TaskGroup() as group:
                    for batch, category_ids in zip(stretch, categories, strict=True):
                        task = group.create_task(self._write(batch, category_ids))
                        task.add_done_callback(lambda _: progress(file.position, self._rows_written))

    async def _write(self, batch: list[PreparedRow], category_ids: list[str]) -> None:
        async with self._under_way:
            placed = zip(batch, category_ids, strict=True)
            messages = [(row, part_message(row.part, category, self._currency)) for row, category in placed]
            accepted = await self._parts.write(messages)
            await self._stock.write(accepted)
        self._rows_written += len(batch)
        for row in accepted:
            self._report.note(row.line, row.part.sku, row.notes)
