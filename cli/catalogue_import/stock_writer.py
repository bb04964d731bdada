"""Writes the stock numbers and reorder points of a file to the inventory service.

An existing level has its own history, so an import does not change it; only missing levels are created. With
`set_stock` the numbers of the file are set wherever they differ.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from chassis.errors import PartstreamError
from cli.catalogue_import.errors import RowRejected
from partstream.inventory.v1 import movement_pb2, stock_pb2, stock_service_pb2

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cli.catalogue_import.prepare import PreparedRow
    from cli.catalogue_import.report import Report
    from partstream.inventory.v1.stock_service_pb2_grpc import InventoryServiceAsyncStub
    from stack.service_calls.retrying_calls import RetryingCalls
    from stack.service_calls.run_journal import RunJournal

LOCATION = "main"
REASON = "import"


class StockWriter:
    """Creates missing levels in one batch, and counts the others as equal or different."""

    def __init__(
        self,
        inventory: InventoryServiceAsyncStub,
        calls: RetryingCalls,
        journal: RunJournal,
        report: Report,
        *,
        set_stock: bool,
    ) -> None:
        self._inventory = inventory
        self._calls = calls
        self._journal = journal
        self._report = report
        self._set_stock = set_stock

    async def write(self, rows: Sequence[PreparedRow]) -> None:
        """Write the stock of these rows; rows without a number are skipped."""
        counted = [row for row in rows if row.part.stock is not None]
        if not counted:
            return
        levels = await main_levels(self._inventory, self._calls, [row.part.sku for row in counted])
        missing = [row for row in counted if row.part.sku not in levels]
        # A batch of adjustments cannot create a level of 0 units: that is no movement.
        rejected = await self._create([row for row in missing if row.part.stock])
        await asyncio.gather(*(self._set(row, 0) for row in missing if not row.part.stock))
        different = [
            row for row in counted if row.part.sku in levels and levels[row.part.sku].on_hand != row.part.stock
        ]
        if equal := len(counted) - len(missing) - len(different):
            self._report.counts["levels_equal"] += equal
        if self._set_stock:
            await asyncio.gather(*(self._set(row, levels[row.part.sku].version) for row in different))
        elif different:
            self._report.counts["levels_different_left_alone"] += len(different)
        writable = [row for row in counted if self._may_set_reorder_point(levels.get(row.part.sku))]
        await self._set_reorder_points([row for row in writable if row.line not in rejected], levels)

    def _may_set_reorder_point(self, level: stock_pb2.StockLevel | None) -> bool:
        """Return whether this run created the level: an interrupted one may lack its reorder point."""
        return level is None or self._set_stock or (self._journal.resumed and level.version == 1)

    async def _create(self, rows: Sequence[PreparedRow]) -> frozenset[int]:
        """Create levels; return the lines that were rejected."""
        if not rows:
            return frozenset()
        rejected = set()
        request = stock_service_pb2.BatchAdjustStockRequest(
            adjustments=[_creation(row) for row in rows],
            reason=REASON,
        )
        request.request_id = self._journal.request_id_of("levels", request)
        response = await self._calls(self._inventory.BatchAdjustStock, request)
        for row, result in zip(rows, response.results, strict=True):
            if result.HasField("level"):
                self._report.counts["levels_created"] += 1
            else:
                fault = RowRejected("stock", result.error.reason, result.error.message, row.part.stock)
                self._report.reject(row.line, row.part.sku, fault)
                rejected.add(row.line)
        return frozenset(rejected)

    async def _set_reorder_points(
        self, rows: Sequence[PreparedRow], levels: Mapping[str, stock_pb2.StockLevel]
    ) -> None:
        present = {sku: level.reorder_point for sku, level in levels.items()}
        different = [row for row in rows if row.part.reorder_point not in {None, present.get(row.part.sku, 0)}]
        await asyncio.gather(*(self._set_reorder_point(row) for row in different))

    async def _set_reorder_point(self, row: PreparedRow) -> None:
        request = stock_service_pb2.SetReorderPointRequest(
            part_id=row.part.sku, location_id=LOCATION, reorder_point=row.part.reorder_point or 0
        )
        request.request_id = self._journal.request_id_of("reorder-point", request)
        try:
            await self._calls(self._inventory.SetReorderPoint, request)
        except PartstreamError as error:
            fault = RowRejected("reorder_point", error.reason, error.message, row.part.reorder_point)
            self._report.reject(row.line, row.part.sku, fault)
        else:
            self._report.counts["reorder_points_set"] += 1

    async def _set(self, row: PreparedRow, version: int) -> None:
        request = stock_service_pb2.SetStockRequest(
            request_id=self._journal.request_id("level", row.part.sku, str(version)),
            part_id=row.part.sku,
            location_id=LOCATION,
            on_hand=row.part.stock or 0,
            expected_version=version,
            allow_missing=version == 0,
            reason=REASON,
        )
        try:
            await self._calls(self._inventory.SetStock, request)
        except PartstreamError as error:
            fault = RowRejected("stock", error.reason, error.message, row.part.stock)
            self._report.reject(row.line, row.part.sku, fault)
        else:
            self._report.counts["levels_set" if version else "levels_created"] += 1


async def main_levels(
    inventory: InventoryServiceAsyncStub, calls: RetryingCalls, skus: Sequence[str]
) -> dict[str, stock_pb2.StockLevel]:
    """Return the levels of parts at the location that imports write to."""
    if not skus:
        return {}
    request = stock_service_pb2.BatchGetStockRequest(part_ids=skus)
    response = await calls(inventory.BatchGetStock, request)
    return {
        stock.part_id: level for stock in response.stocks for level in stock.levels if level.location_id == LOCATION
    }


def _creation(row: PreparedRow) -> stock_service_pb2.StockAdjustment:
    return stock_service_pb2.StockAdjustment(
        part_id=row.part.sku,
        location_id=LOCATION,
        delta=row.part.stock or 0,
        expected_on_hand=0,
        allow_missing=True,
        kind=movement_pb2.MOVEMENT_KIND_RECEIVED,
    )
