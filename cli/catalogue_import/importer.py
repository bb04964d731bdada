"""Imports one catalogue file: reads, corrects, and keeps a few batches in flight."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING

from cli.catalogue_import.numbers import AS_USUAL, NumberFormat
from cli.catalogue_import.part_message import part_message
from cli.catalogue_import.prepare import prepared_batches
from stack.service_calls.task_errors import first_error_only

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cli.catalogue_import.category_writer import CategoryWriter
    from cli.catalogue_import.existing_parts import ExistingParts
    from cli.catalogue_import.part_writer import PartWriter
    from cli.catalogue_import.prepare import PreparedRow
    from cli.catalogue_import.report import Report
    from cli.catalogue_import.source import CatalogueFile
    from cli.catalogue_import.stock_writer import StockWriter
    from partstream.content.v1 import part_pb2

BATCH_ROWS = 500  # the most that BatchUpsertParts takes
BATCHES_UNDER_WAY = 3  # one in each service and one being prepared keep all of them busy; more only holds memory
# Batches between which categories are made. A category made beside a batch of parts waits for its whole commit, about
# 0.2 s each: 1,300 of them took four minutes that way, and take seconds while no part is being written.
BATCHES_PER_STRETCH = 8


class CatalogueImport:
    """Writes the rows of a file through the three writers."""

    def __init__(
        self,
        existing: ExistingParts,
        categories: CategoryWriter,
        parts: PartWriter,
        stock: StockWriter,
        report: Report,
        currency: str,
        numbers: NumberFormat = AS_USUAL,
    ) -> None:
        self._existing = existing
        self._numbers = numbers
        self._categories = categories
        self._parts = parts
        self._stock = stock
        self._report = report
        self._currency = currency
        self._under_way = asyncio.Semaphore(BATCHES_UNDER_WAY)
        self._rows_written = 0

    async def run(self, file: CatalogueFile, progress: Callable[[int, int], None]) -> None:
        """Import the whole file; `progress` gets bytes read and rows written.

        Raises FileUnreadable, RetriesExhausted, and PartstreamError for a batch that a service rejects.
        """
        await self._categories.load()
        batches = prepared_batches(file, self._report, BATCH_ROWS, self._numbers)
        while stretch := list(islice(batches, BATCHES_PER_STRETCH)):
            existing = [await self._existing.left_open_by([row.part for row in batch]) for batch in stretch]
            placed = zip(stretch, existing, strict=True)
            categories = [await self._categories.place(batch, present) for batch, present in placed]
            with first_error_only():
                async with asyncio.TaskGroup() as group:
                    for batch, category_ids, present in zip(stretch, categories, existing, strict=True):
                        task = group.create_task(self._write(batch, category_ids, present))
                        task.add_done_callback(lambda _: progress(file.position, self._rows_written))

    async def _write(
        self, batch: list[PreparedRow], category_ids: list[str], present: Mapping[str, part_pb2.Part]
    ) -> None:
        async with self._under_way:
            messages = [
                (row, part_message(row.part, category, self._currency, _title_of(row, present)))
                for row, category in zip(batch, category_ids, strict=True)
            ]
            accepted = await self._parts.write(messages)
            await self._stock.write(accepted)
        self._rows_written += len(batch)
        for row in accepted:
            self._report.note(row.line, row.part.sku, row.notes)


def _title_of(row: PreparedRow, present: Mapping[str, part_pb2.Part]) -> str:
    """Return the title that the part keeps, where the row has none; else empty."""
    known = present.get(row.part.sku)
    return known.title if known is not None and "title" not in row.part.given else ""
