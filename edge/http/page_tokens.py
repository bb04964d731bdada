"""Page tokens of the REST lists: opaque, signed, and good only for the filters they were issued for."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import TYPE_CHECKING

import msgspec

from chassis.errors import PageTokenInvalid

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAC_BYTES = 12
_MAX_LENGTH = 4000


class Page(msgspec.Struct, array_like=True):
    """Where a page begins: the service's own token, and how many of its items were already given."""

    upstream: str = ""
    skip: int = 0


class PageTokens:
    """Issues and reads tokens. All edges share the key, so that any of them reads a token of another."""

    def __init__(self, secret: bytes) -> None:
        """Derive the key from a secret that every edge has."""
        self._key = hashlib.blake2b(secret, digest_size=32, person=b"page-tokens").digest()

    def issue(self, page: Page | None, filters: Mapping[str, object]) -> str:
        """The token of the next page; empty when there is none."""
        if page is None:
            return ""
        body = msgspec.json.encode(page)
        return base64.urlsafe_b64encode(self._mac(body, filters) + body).rstrip(b"=").decode()

    def read(self, token: str, filters: Mapping[str, object]) -> Page:
        """Where a token points; ``PageTokenInvalid`` when it is not ours or was issued for other filters."""
        if not token:
            return Page()
        try:
            return self._opened(token, filters)
        except (ValueError, binascii.Error, msgspec.DecodeError):
            message = "The page token is invalid: use the one of the previous page, with the same filters."
            raise PageTokenInvalid(message) from None

    def _opened(self, token: str, filters: Mapping[str, object]) -> Page:
        if len(token) > _MAX_LENGTH:
            raise ValueError
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        mac, body = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(body, filters)):
            raise ValueError
        return msgspec.json.decode(body, type=Page)

    def _mac(self, body: bytes, filters: Mapping[str, object]) -> bytes:
        bound = msgspec.json.encode(sorted((name, str(value)) for name, value in filters.items()))
        return hmac.digest(self._key, bound + b"\n" + body, "sha256")[:_MAC_BYTES]
