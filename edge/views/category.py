"""Categories: one, and the tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from partstream.content.v1 import part_pb2


class Category(msgspec.Struct):
    """A category with the number of live, published parts in it and below."""

    category_id: str
    parent_id: str | None
    name: str
    path: list[str]
    position: int
    part_count: int
    version: int


class CategoryNode(Category, kw_only=True):
    """A category and those below it."""

    children: list[CategoryNode]


class CategoryTree(msgspec.Struct):
    """The top categories, each with what is below it."""

    items: list[CategoryNode]


class CategoryPage(Category, kw_only=True):
    """One category with those directly below it."""

    children: list[Category]


def category_view(category: part_pb2.Category) -> Category:
    """Return the view of a category."""
    return Category(**_values(category))


def category_page(category: part_pb2.Category, everything: Iterable[part_pb2.Category]) -> CategoryPage:
    """Return a category with its children."""
    below = [category_view(item) for item in everything if item.parent_id == category.category_id]
    return CategoryPage(**_values(category), children=below)


def category_tree(categories: Iterable[part_pb2.Category]) -> CategoryTree:
    """Return the tree; siblings keep their order. A category whose parent is missing is a top category."""
    nodes = {item.category_id: CategoryNode(**_values(item), children=[]) for item in categories}
    tops: list[CategoryNode] = []
    for node in nodes.values():
        parent = nodes.get(node.parent_id or "")
        (parent.children if parent else tops).append(node)
    return CategoryTree(tops)


def _values(category: part_pb2.Category) -> dict[str, Any]:
    return {
        "category_id": category.category_id,
        "parent_id": category.parent_id or None,
        "name": category.name,
        "path": list(category.path),
        "position": category.position,
        "part_count": category.part_count,
        "version": category.version,
    }
