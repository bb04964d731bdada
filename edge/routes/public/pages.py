"""Rendered responses of the catalogue: one per versions, view and fields, cached in memory with their codings."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from edge.cache.decorators import cache_response
from edge.http.fields import only
from edge.http.representation import Representation
from edge.views.category import category_tree
from edge.views.part import part_page, part_summary

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge.cache.manager import CacheManager
    from partstream.content.v1.part_pb2 import Category, Part
    from partstream.inventory.v1.stock_pb2 import PartStock


def _content(part: Part) -> str:
    """Identify one state of a part's content: a restored database may assign a version again."""
    return f"{part.part_id}/{part.version}/{part.update_time.ToNanoseconds()}/{'>'.join(part.category_path)}"


def _stock(stock: PartStock) -> str:
    return f"{stock.version}/{stock.available}/{stock.low_stock}"


def _digest(facts: Iterator[str]) -> str:
    return hashlib.blake2b("\n".join(facts).encode(), digest_size=16).hexdigest()


def _page_facts(*, part: Part, stock: PartStock, view: str, fields: Sequence[str], **_: Any) -> Iterator[str]:
    yield from (_content(part), _stock(stock), view, *fields)


@cache_response(name="part", depends_on=_page_facts)
def render_part(
    *, cache: CacheManager, part: Part, stock: PartStock, view: str, fields: Sequence[str]
) -> Representation:
    """Return the product page, full or summary."""
    del cache
    shown = part_page(part, stock) if view == "full" else part_summary(part, stock)
    return Representation.of(only(shown, fields))


def _listing_facts(
    *, rows: Sequence[tuple[Part, PartStock]], next_page_token: str, fields: Sequence[str], **_: Any
) -> Iterator[str]:
    yield from (_digest(f"{_content(part)} {_stock(stock)}" for part, stock in rows), next_page_token, *fields)


@cache_response(name="listing", depends_on=_listing_facts)
def render_listing(
    *,
    cache: CacheManager,
    rows: Sequence[tuple[Part, PartStock]],
    next_page_token: str,
    fields: Sequence[str],
) -> Representation:
    """Return a page of a listing."""
    del cache
    items = [only(part_summary(part, stock), fields) for part, stock in rows]
    return Representation.of({"items": items, "next_page_token": next_page_token})


def _tree_facts(*, categories: Sequence[Category], **_: Any) -> Iterator[str]:
    yield _digest(
        f"{item.category_id}/{item.parent_id}/{item.name}/{item.position}/{item.part_count}/{item.version}"
        for item in categories
    )


@cache_response(name="categories", depends_on=_tree_facts)
def render_tree(*, cache: CacheManager, categories: Sequence[Category]) -> Representation:
    """Return the category tree."""
    del cache
    return Representation.of(category_tree(categories))
