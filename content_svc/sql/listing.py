"""The listing's query, from constants: only the conditions that are asked for, so that an index serves them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from content_svc.domain.listing import Order, PagePosition, PartListing
from content_svc.sql.reads import HEAD, PART_COLUMNS, PART_TABLES

# How well a part matches: its very id or number before a beginning of it, and both before words in the text.
_SCORE = """(
    CASE WHEN lower(p.part_id) = {text} OR lower(p.mpn) = {text} THEN 100
         WHEN lower(p.part_id) LIKE {prefix} OR lower(p.mpn) LIKE {prefix} THEN 10 ELSE 0 END
    + ts_rank(p.search, part_search_query({words})))::float8"""

_MATCHES = """(p.search @@ part_search_query({words})
    OR lower(p.part_id) LIKE {prefix} OR lower(p.mpn) LIKE {prefix})"""


@dataclass(frozen=True, slots=True)
class _Sort:
    """An expression with an index behind it, its direction, and the type of its values."""

    key: str
    falling: bool
    type: str


_SORTS: dict[Order, _Sort] = {
    "part_id": _Sort("p.part_id", falling=False, type="text"),
    "title": _Sort('lower(p.title) COLLATE "C"', falling=False, type="text"),
    "price_asc": _Sort("coalesce(p.price_minor, 9223372036854775807)", falling=False, type="bigint"),
    "price_desc": _Sort("coalesce(p.price_minor, -1)", falling=True, type="bigint"),
    "update_time_desc": _Sort("p.updated_at", falling=True, type="timestamptz"),
    "rank": _Sort(_SCORE, falling=True, type="float8"),
}

# A page: the ids first, so that only its rows are read whole.
_PAGE = """
WITH page AS (
    SELECT p.part_id, {key} AS page_key FROM part p
    WHERE p.deleted_at IS NULL AND {conditions}
    ORDER BY page_key {direction}, p.part_id LIMIT {limit}
)
SELECT {columns}, {page_key} AS page_key, {head}
FROM page JOIN {tables} ON p.part_id = page.part_id
ORDER BY page.page_key {direction}, p.part_id
"""


class _Arguments:
    """The arguments of a query, numbered as they are used: PostgreSQL refuses one that no text refers to."""

    def __init__(self) -> None:
        self.values: list[object] = []

    def add(self, value: object, kind: str) -> str:
        """The place of a new argument."""
        self.values.append(value)
        return f"${len(self.values)}::{kind}"


def page_query(
    listing: PartListing, categories: Sequence[str] | None, position: PagePosition | None, limit: int
) -> tuple[str, list[object]]:
    """SQL and arguments for ``limit`` rows after a position; ``categories`` are ids of a subtree, ``None`` for all."""
    arguments = _Arguments()
    conditions = [f"p.status = {arguments.add(listing.status, 'text')}"]
    if categories is not None:
        conditions.append(f"p.category_id = ANY({arguments.add(list(categories), 'text[]')})")
    sort = _SORTS[listing.order]
    key = sort.key
    if listing.words:
        text = listing.query.strip().lower()
        words = arguments.add(list(listing.words), "text[]")
        prefix = arguments.add(_escape_like(text) + "%", "text")
        conditions.append(_MATCHES.format(words=words, prefix=prefix))
        if listing.order == "rank":
            key = _SCORE.format(words=words, prefix=prefix, text=arguments.add(text, "text"))
    if position is not None:
        after = arguments.add(_sort_value(sort, position), sort.type)
        part_id = arguments.add(position.part_id, "text")
        beyond = "<" if sort.falling else ">"
        conditions.append(f"{key} {beyond}= {after} AND ({key} {beyond} {after} OR p.part_id > {part_id})")
    query = _PAGE.format(
        key=key,
        conditions=" AND ".join(conditions),
        direction="DESC" if sort.falling else "ASC",
        limit=arguments.add(limit, "int"),
        columns=PART_COLUMNS,
        page_key=_MICROSECONDS if sort.type == "timestamptz" else "page.page_key",
        head=HEAD,
        tables=PART_TABLES,
    )
    return query, arguments.values


# Moments travel in page tokens as microseconds: exact, and a plain number.
_MICROSECONDS = "(extract(epoch FROM page.page_key) * 1000000)::bigint"


def _sort_value(sort: _Sort, position: PagePosition) -> object:
    if sort.type == "timestamptz":
        return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(position.key))
    return position.key


def _escape_like(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
