"""Results of a batch of adjustments, in the order of its items."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from edge.views.stock import Level, level_view

if TYPE_CHECKING:
    from partstream.inventory.v1 import stock_service_pb2


class AdjustmentRefusal(msgspec.Struct):
    """Why an item was rejected, with the current level."""

    reason: str
    detail: str
    metadata: dict[str, str]
    current: Level | None


class AdjustmentResult(msgspec.Struct):
    """The level after an item, or its error."""

    level: Level | None
    error: AdjustmentRefusal | None


class BatchResult(msgspec.Struct):
    """One result per item."""

    results: list[AdjustmentResult]
    applied: int
    refused: int


def batch_view(response: stock_service_pb2.BatchAdjustStockResponse) -> BatchResult:
    """Return the results with the number applied and the number rejected."""
    results = [_result(item) for item in response.results]
    refused = sum(1 for item in results if item.error)
    return BatchResult(results, len(results) - refused, refused)


def _result(item: stock_service_pb2.StockAdjustmentResult) -> AdjustmentResult:
    level = level_view(item.level) if item.HasField("level") else None
    if not item.HasField("error"):
        return AdjustmentResult(level, None)
    error = item.error
    current = level_view(error.current) if error.HasField("current") else None
    return AdjustmentResult(level, AdjustmentRefusal(error.reason, error.message, dict(error.metadata), current))
