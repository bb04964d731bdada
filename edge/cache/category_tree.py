"""The tree of categories as this process knows it: which ones are above a category."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from partstream.content.v1 import part_pb2

DEEPEST = 64  # the database refuses cycles; this bounds the walk if a copy of the tree were wrong


class CategoryTree:
    """Parents by category. A category it has not heard of counts as one of the top."""

    def __init__(self) -> None:
        """Begin empty."""
        self._parents: dict[str, str] = {}
        self.moves = 0  # how often a category came, moved or went

    def load(self, categories: Iterable[part_pb2.Category]) -> None:
        """Know exactly these."""
        self._parents = {category.category_id: category.parent_id for category in categories}

    def put(self, category: part_pb2.Category) -> None:
        """Add a category, or move it."""
        self._parents[category.category_id] = category.parent_id
        self.moves += 1

    def remove(self, category_id: str) -> None:
        """Forget a category."""
        self._parents.pop(category_id, None)
        self.moves += 1

    def knows(self, category_id: str) -> bool:
        """Whether it has heard of a category, so that what is above it can be told."""
        return category_id in self._parents

    def upwards(self, category_id: str) -> tuple[str, ...]:
        """The category itself and those above, nearest first."""
        found: list[str] = []
        while category_id and len(found) < DEEPEST:
            found.append(category_id)
            category_id = self._parents.get(category_id, "")
        return tuple(found)
