"""Dependencies of the catalogue routes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.cache.manager import CacheManager
    from edge.cache.reads import CachedReads
    from edge.http.page_tokens import PageTokens
    from edge.http.revision import RevisionGate


@dataclass(frozen=True, slots=True)
class Shop:
    """Cached reads, rendered pages, and page tokens."""

    reads: CachedReads
    gate: RevisionGate
    cache: CacheManager
    page_tokens: PageTokens
