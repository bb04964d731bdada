"""Every kind of entry, key and tag of the cache, in one table.

==========  =========  ==================  ======  ============================================  ========
kind        log        identifier          tiers   how it is updated                             lifetime
==========  =========  ==================  ======  ============================================  ========
stock       inventory  part id             L1, L2  replaced level by level from the log          10 min
content     content    part id             L1, L2  replaced from the log, tombstone on deletion  10 min
listing     content    the query           L1, L2  tags hold the revision that ends older ones   2 min
categories  content    ``tree``            L1, L2  tag ``tree`` and tag ``counts``               2 min
body        none       versions and view   L1      the key contains the versions: never wrong    10 min
==========  =========  ==================  ======  ============================================  ========

A lifetime is a safety net, the logs update the entries: it is jittered, and a hot entry is refreshed before it ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from uuid import UUID

    from partstream.content.v1 import part_pb2

INVENTORY: Final = "inventory"
CONTENT: Final = "content"

# Raised when the stored form changes, so that two releases share a Redis during a roll-out without reading each other.
WIRE_VERSION: Final = 1

MEBIBYTE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table. ``letter`` is its place in keys of the shared tier."""

    name: str
    log: str
    letter: str
    memory_bytes: int
    lifetime_seconds: float
    shared: bool = True
    tagged: bool = False  # ended by tags; otherwise replaced from the log


STOCK: Final = Kind("stock", INVENTORY, "s", 32 * MEBIBYTE, 600.0)
PART: Final = Kind("content", CONTENT, "p", 96 * MEBIBYTE, 600.0)
LISTING: Final = Kind("listing", CONTENT, "l", 24 * MEBIBYTE, 120.0, tagged=True)
CATEGORIES: Final = Kind("categories", CONTENT, "c", 16 * MEBIBYTE, 120.0, tagged=True)
BODY: Final = Kind("body", "", "b", 64 * MEBIBYTE, 600.0, shared=False)

KINDS: Final = (STOCK, PART, LISTING, CATEGORIES, BODY)
LOGS: Final = (INVENTORY, CONTENT)

TREE_TAG: Final = "tree"  # any category changed: names, paths and subtrees may differ
COUNTS_TAG: Final = "counts"  # how many live published parts a category has may differ
ANY_PART_TAG: Final = "parts"  # any part changed


def part_name(part_id: str) -> str:
    """Return the name under which changes of a part are recorded; the same in both logs."""
    return f"part:{part_id}"


def category_tag(category_id: str) -> str:
    """Return the tag of listings of a category and its subtree."""
    return f"category:{category_id}"


def listing_tags(category_id: str) -> tuple[str, ...]:
    """Return the tags of a listing: of its category, or of every part when it has none."""
    return (TREE_TAG, category_tag(category_id) if category_id else ANY_PART_TAG)


def names_of(kind: Kind, ident: str, tags: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return what an entry depends on: its part, or its tags."""
    return tags if kind.tagged else (part_name(ident),)


def part_change_tags(before: part_pb2.Part | None, after: part_pb2.Part | None) -> tuple[set[str], bool]:
    """Return the categories a part was and is in, without ancestors, and whether its change affects their counts."""
    categories = {part.category_id for part in (before, after) if part is not None}
    counted = [
        (part.category_id, part.status, part.HasField("delete_time")) if part is not None else None
        for part in (before, after)
    ]
    return categories, counted[0] != counted[1]


def namespace(log: str, epoch: UUID) -> str:
    """Return the prefix of every key of one epoch of a log; the braces keep them in one slot of a Redis Cluster."""
    return f"{{ps{WIRE_VERSION}:{log}:{epoch.hex}}}"


def head_key(log: str) -> str:
    """Return the key of the epoch that the shared tier follows."""
    return f"ps{WIRE_VERSION}:{log}:head"
