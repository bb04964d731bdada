"""The tree of categories."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from content_svc.domain.violations import Violations, line_violations, raise_any

MAX_NAME = 200
CATEGORY_ID = re.compile(r"[a-z0-9-]{1,128}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """A node of the tree of categories."""

    category_id: str
    parent_id: str = ""
    name: str = ""
    path: tuple[str, ...] = ()
    position: int = 0
    version: int = 0
    part_count: int = 0


def validate_category(category: Category, *, prefix: str = "category.") -> None:
    """Raise ``FieldInvalid`` with every invalid field of a new category."""
    raise_any(_violations(category), prefix)


def _violations(category: Category) -> Violations:
    if not CATEGORY_ID.fullmatch(category.category_id):
        yield "category_id", "must be 1-128 of a-z 0-9 -"
    if category.parent_id and not CATEGORY_ID.fullmatch(category.parent_id):
        yield "parent_id", "must name a category, or be empty"
    yield from line_violations(category.name, "name", MAX_NAME, required=True)


def depth_first(categories: Iterable[Category]) -> list[Category]:
    """Return the tree, parents before children, siblings by position, then name; part counts include descendants."""
    below: dict[str, list[Category]] = {}
    for category in categories:
        below.setdefault(category.parent_id, []).append(category)
    for siblings in below.values():
        siblings.sort(key=lambda item: (item.position, item.name, item.category_id))
    listed: list[Category] = []

    def visit(category: Category) -> int:
        place = len(listed)
        listed.append(category)
        total = category.part_count + sum(visit(child) for child in below.get(category.category_id, ()))
        listed[place] = replace(category, part_count=total)
        return total

    for top in below.get("", ()):
        visit(top)
    return listed
