"""Page tokens of the REST lists: opaque, signed, and valid only for the filters they were issued for."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from chassis.page_tokens import PageTokenCodec

if TYPE_CHECKING:
    from collections.abc import Mapping


class Page(NamedTuple):
    """Where a page starts: the service's own token, and how many of its items were already returned."""

    upstream: str = ""
    skip: int = 0


class PageTokens:
    """Encodes and decodes page tokens. All edges share the key, so that each accepts the tokens of the others."""

    def __init__(self, secret: bytes) -> None:
        """Derive the key from a secret that every edge has."""
        self._codec = PageTokenCodec(hashlib.blake2b(secret, digest_size=32, person=b"page-tokens").digest())

    def issue(self, page: Page | None, filters: Mapping[str, object]) -> str:
        """Return the token of the next page; empty when there is none."""
        return "" if page is None else self._codec.encode(filters, *page)

    def read(self, token: str, filters: Mapping[str, object]) -> Page:
        """Return where a page starts; raise ``PageTokenInvalid`` for a foreign token or one for other filters."""
        position = self._codec.decode(token, filters, (str, int))
        return Page() if position is None else Page(*position)
