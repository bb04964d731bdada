"""Locations: places that hold stock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from edge.views.values import rfc3339

if TYPE_CHECKING:
    from partstream.inventory.v1 import stock_pb2


class Location(msgspec.Struct):
    """A place that holds stock."""

    location_id: str
    name: str
    archived_at: str | None


class LocationList(msgspec.Struct):
    """Every location, by id."""

    items: list[Location]
    next_page_token: str = ""


def location_view(location: stock_pb2.Location) -> Location:
    """Return the view of a location."""
    return Location(location.location_id, location.name, rfc3339(location.archive_time))
