"""The category tree as the import knows it: finds the category of a path of names, and says what is to be created."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LONGEST_SLUG = 128  # of the contract
HASH_DIGITS = 8


@dataclass(frozen=True, slots=True)
class KnownCategory:
    """A category that exists or is about to."""

    category_id: str
    parent_id: str
    name: str


class CategoryTree:
    """Maps paths of names to category ids.

    Two names are one when they are equal after NFKC case folding and without white space; the first spelling met is the
    one kept. Names that differ otherwise stay apart, also where their slugs would be equal: the later one gets a suffix
    made from its name, so that the same file always yields the same ids in an empty catalogue.
    """

    def __init__(self, existing: Iterable[KnownCategory] = ()) -> None:
        self._by_name: dict[tuple[str, str], KnownCategory] = {}
        self._ids: set[str] = set()
        for category in existing:
            self.learn(category)

    def learn(self, category: KnownCategory) -> None:
        """Take in a category that exists."""
        self._by_name.setdefault((category.parent_id, _folded(category.name)), category)
        self._ids.add(category.category_id)

    def find(self, path: Iterable[str]) -> list[KnownCategory] | None:
        """Return the categories along `path` from the top, or None when one does not exist."""
        found: list[KnownCategory] = []
        for name in path:
            category = self._by_name.get((found[-1].category_id if found else "", _folded(name)))
            if category is None:
                return None
            found.append(category)
        return found

    def plan(self, path: Sequence[str]) -> KnownCategory | None:
        """Return the category at the end of `path` if it is to be created, and count on it from now on.

        Everything above it must be known.
        """
        above = self.find(path[:-1])
        if above is None:
            message = f"the categories above {path!r} are not known yet"
            raise LookupError(message)
        parent, name = above[-1].category_id if above else "", path[-1]
        if (parent, _folded(name)) in self._by_name:
            return None
        planned = KnownCategory(self._free_id(parent, name), parent, name)
        self.learn(planned)
        return planned

    def plan_again(self, planned: KnownCategory) -> KnownCategory:
        """Return `planned` under another id: somebody else has the one that was planned."""
        parent, name = planned.parent_id, planned.name
        again = KnownCategory(_marked(planned.category_id, parent, name), parent, name)
        self._by_name[parent, _folded(name)] = again
        self._ids.add(again.category_id)
        return again

    def _free_id(self, parent: str, name: str) -> str:
        wanted = _slug(name)
        whole = f"{parent}--{wanted}" if parent else wanted
        if not wanted or len(whole) > LONGEST_SLUG or whole in self._ids:
            return _marked(whole, parent, name)
        return whole


def _marked(category_id: str, parent: str, name: str) -> str:
    mark = hashlib.sha256(f"{parent}/{_folded(name)}".encode()).hexdigest()[:HASH_DIGITS]
    return f"{category_id[: LONGEST_SLUG - HASH_DIGITS - 1].rstrip('-')}-{mark}".lstrip("-")


def _folded(name: str) -> str:
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


def _slug(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
