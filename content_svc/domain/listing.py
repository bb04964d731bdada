"""A listing of parts: filters, order, and the position after which a page starts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from content_svc.domain.part import Status

Order: TypeAlias = Literal["part_id", "title", "price_asc", "price_desc", "update_time_desc", "rank"]
# The value that a row is sorted by: the one of the last row is part of the next page's token.
PageKey: TypeAlias = str | int | float | datetime

DEFAULT_PAGE = 50
MAX_WORDS = 16

_KEY_TYPES: dict[Order, type[PageKey]] = {
    "part_id": str,
    "title": str,
    "price_asc": int,
    "price_desc": int,
    "update_time_desc": datetime,
    "rank": float,
}


@dataclass(frozen=True, slots=True)
class PartListing:
    """Filters and order. ``rank`` is how well a part matches the text."""

    category_id: str = ""
    query: str = ""
    status: Status = "published"
    order: Order = "part_id"

    @property
    def words(self) -> tuple[str, ...]:
        """The words of the text, all of which must match; those after the first ``MAX_WORDS`` are ignored."""
        return tuple(self.query.split()[:MAX_WORDS])

    @property
    def key_type(self) -> type[PageKey]:
        """The type of the values that the rows are sorted by."""
        return _KEY_TYPES[self.order]


@dataclass(frozen=True, slots=True)
class PagePosition:
    """The last row of the previous page."""

    key: PageKey
    part_id: str
