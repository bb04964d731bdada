"""The current resource inside an error, in the form of its own route."""

from __future__ import annotations

from typing import Any

import msgspec

from edge.views.category import category_view
from edge.views.location import location_view
from edge.views.part import staff_part
from edge.views.reservation import reservation_view
from edge.views.stock import level_view, staff_stock
from partstream.content.v1 import part_pb2
from partstream.inventory.v1 import reservation_pb2, stock_pb2


def current_view(current: object) -> Any:
    """Return the view of the resource of an error; ``UNSET`` for a type without one."""
    match current:
        case stock_pb2.StockLevel():
            return level_view(current)
        case stock_pb2.PartStock():
            return staff_stock(current)
        case part_pb2.Part():
            return staff_part(current)
        case part_pb2.Category():
            return category_view(current)
        case stock_pb2.Location():
            return location_view(current)
        case reservation_pb2.Reservation():
            return reservation_view(current)
        case _:
            return msgspec.UNSET
