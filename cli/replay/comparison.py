"""Compares every level with what the movements file says that it is in the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from partstream.inventory.v1 import stock_pb2, stock_service_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cli.replay.movements import FinalLevels
    from partstream.inventory.v1.stock_service_pb2_grpc import InventoryServiceAsyncStub
    from stack.service_calls.retrying_calls import RetryingCalls

LOCATION = "main"
PARTS_AT_ONCE = 1_000  # the most that BatchGetStock takes


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A part whose level is not what the file says; `found` is None when there is no level."""

    sku: str
    expected: int
    expected_archived: bool
    found: int | None
    found_archived: bool | None

    def as_json(self) -> dict[str, Any]:
        """Return the mismatch as JSON members."""
        return {name: getattr(self, name) for name in self.__slots__}

    def __str__(self) -> str:
        """Say it in words."""
        wanted = f"{self.expected:,}{' and archived' if self.expected_archived else ''}"
        if self.found is None:
            return f"{self.sku}: no level, expected {wanted}"
        return f"{self.sku}: {self.found:,}{' and archived' if self.found_archived else ''}, expected {wanted}"


@dataclass(slots=True)
class Comparison:
    """The outcome: how many levels were compared and equal, and every one that was not."""

    compared: int = 0
    equal: int = 0
    without_number: int = 0
    mismatches: list[Mismatch] = field(default_factory=list)


async def compare(inventory: InventoryServiceAsyncStub, calls: RetryingCalls, final: FinalLevels) -> Comparison:
    """Read every part of the file from the service and compare."""
    outcome = Comparison(without_number=len(final.without_number))
    for skus in _chunks(sorted(final.levels)):
        answer = await calls(inventory.BatchGetStock, stock_service_pb2.BatchGetStockRequest(part_ids=skus))
        levels = {
            level.part_id: level for stock in answer.stocks for level in stock.levels if level.location_id == LOCATION
        }
        for sku in skus:
            _judge(sku, final, levels.get(sku), outcome)
    return outcome


def _judge(sku: str, final: FinalLevels, level: stock_pb2.StockLevel | None, outcome: Comparison) -> None:
    expected, expected_archived = final.levels[sku], sku in final.delisted
    archived = level.HasField("archive_time") if level is not None else None
    outcome.compared += 1
    if level is not None and (level.on_hand, archived) == (expected, expected_archived):
        outcome.equal += 1
    else:
        found = None if level is None else level.on_hand
        outcome.mismatches.append(Mismatch(sku, expected, expected_archived, found, archived))


def _chunks(skus: Iterable[str]) -> Iterator[list[str]]:
    remaining = iter(skus)
    while chunk := list(islice(remaining, PARTS_AT_ONCE)):
        yield chunk
