"""A small truth to test caches against: parts with levels, changed one revision at a time, read slowly."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from changelog.cursor import Position
from edge.cache.follow import read_stock_change
from edge.cache.memory import LogChange
from edge.cache.values import total
from partstream.inventory.v1 import stock_change_pb2, stock_pb2

EPOCH = uuid.UUID(int=7)


def at(revision: int, log: str = "inventory") -> Position:
    return Position(log, EPOCH, revision)


def stock_change(
    revision: int, part_id: str, location_id: str, version: int, on_hand: int
) -> stock_change_pb2.StockChange:
    level = stock_pb2.StockLevel(
        part_id=part_id,
        location_id=location_id,
        on_hand=on_hand,
        available=on_hand,
        in_stock=on_hand > 0,
        low_stock=on_hand <= 0,
        version=version,
    )
    return stock_change_pb2.StockChange(
        revision=revision,
        part_id=part_id,
        location_id=location_id,
        version=version,
        after=level,
        entity="stock_level",
        entity_id=f"{part_id}/{location_id}",
    )


@dataclass
class Truth:
    """The service: current levels, and the log of how they came to be."""

    levels: dict[tuple[str, str], stock_pb2.StockLevel] = field(default_factory=dict)
    log: list[stock_change_pb2.StockChange] = field(default_factory=list)

    @property
    def head(self) -> int:
        return len(self.log)

    def commit(self, part_id: str, location_id: str) -> stock_change_pb2.StockChange:
        held = self.levels.get((part_id, location_id))
        version = held.version + 1 if held is not None else 1
        change = stock_change(self.head + 1, part_id, location_id, version, self.head + 100)
        self.levels[part_id, location_id] = change.after
        self.log.append(change)
        return change

    def read(self, part_id: str) -> stock_pb2.PartStock:
        return total(part_id, [level for (owner, _), level in self.levels.items() if owner == part_id])

    def as_of(self, part_id: str, revision: int) -> stock_pb2.PartStock:
        levels = {change.location_id: change.after for change in self.log[:revision] if change.part_id == part_id}
        return total(part_id, levels.values())

    def entries(self, after: int, until: int) -> list[LogChange]:
        return [read_stock_change(change) for change in self.log[after:until]]
