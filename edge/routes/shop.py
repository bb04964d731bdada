"""What the pages of the catalogue are made with."""

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
    """Reads behind the cache, the rendered pages in it, and the tokens that go with them."""

    reads: CachedReads
    gate: RevisionGate
    cache: CacheManager
    page_tokens: PageTokens
