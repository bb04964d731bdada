"""Stock: the public summary of a part, and the levels for staff."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from edge.views.values import rfc3339

if TYPE_CHECKING:
    from partstream.inventory.v1 import stock_pb2

MAX_UNITS = 9_000_000_000_000_000
ID_PATTERN = "^[A-Za-z0-9._-]{1,64}$"

PartId = Annotated[str, msgspec.Meta(pattern=ID_PATTERN, max_length=64, description="1-64 of A-Z a-z 0-9 . _ -")]
LocationId = Annotated[str, msgspec.Meta(pattern=ID_PATTERN, max_length=64, description="1-64 of A-Z a-z 0-9 . _ -")]
Units = Annotated[int, msgspec.Meta(ge=0, le=MAX_UNITS)]
Delta = Annotated[int, msgspec.Meta(ge=-MAX_UNITS, le=MAX_UNITS, description="not 0")]
Version = Annotated[int, msgspec.Meta(ge=1, le=MAX_UNITS)]
Reason = Annotated[str, msgspec.Meta(max_length=500, description="why, for the ledger and the audit")]


class PublicStock(msgspec.Struct):
    """Stock of a part over all locations. ``version`` rises with every movement; 0 = there never was any stock."""

    part_id: str
    available: int
    in_stock: bool
    low_stock: bool
    version: int


class StockSummary(msgspec.Struct):
    """Stock inside a part."""

    available: int
    in_stock: bool
    low_stock: bool
    version: int


class Level(msgspec.Struct):
    """Stock of one part at one location."""

    part_id: str
    location_id: str
    on_hand: int
    reserved: int
    available: int
    in_stock: bool
    low_stock: bool
    reorder_point: int
    version: int
    updated_at: str | None
    last_updated_by: str | None
    archived_at: str | None


class StaffStock(msgspec.Struct):
    """Stock of a part over all locations, with each level."""

    part_id: str
    on_hand: int
    reserved: int
    available: int
    in_stock: bool
    low_stock: bool
    version: int
    levels: list[Level]


class LevelList(msgspec.Struct):
    """A page of levels."""

    items: list[Level]
    next_page_token: str


class Transfer(msgspec.Struct):
    """Both levels after a transfer."""

    from_level: Level
    to_level: Level


def public_stock(stock: stock_pb2.PartStock) -> PublicStock:
    """Return the public stock of a part."""
    return PublicStock(stock.part_id, stock.available, stock.in_stock, stock.low_stock, stock.version)


def stock_summary(stock: stock_pb2.PartStock) -> StockSummary:
    """Return the stock inside a part."""
    return StockSummary(stock.available, stock.in_stock, stock.low_stock, stock.version)


def staff_stock(stock: stock_pb2.PartStock) -> StaffStock:
    """Return totals and levels."""
    return StaffStock(
        stock.part_id,
        stock.on_hand,
        stock.reserved,
        stock.available,
        stock.in_stock,
        stock.low_stock,
        stock.version,
        [level_view(level) for level in stock.levels],
    )


def level_view(level: stock_pb2.StockLevel) -> Level:
    """Return the view of a level."""
    return Level(
        part_id=level.part_id,
        location_id=level.location_id,
        on_hand=level.on_hand,
        reserved=level.reserved,
        available=level.available,
        in_stock=level.in_stock,
        low_stock=level.low_stock,
        reorder_point=level.reorder_point,
        version=level.version,
        updated_at=rfc3339(level.update_time),
        last_updated_by=level.last_updated_by.username or None,
        archived_at=rfc3339(level.archive_time),
    )
