"""Page tokens: the position after which a page starts, bound to the filters of its list."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import math
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from chassis.errors import PageTokenInvalid

if TYPE_CHECKING:
    from collections.abc import Sequence

PositionItem: TypeAlias = str | int | float | datetime

_MAC_BYTES: Final = 12
_MAX_CHARACTERS: Final = 4000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_LATEST_MICROSECOND: Final = 253_402_300_799_999_999  # the end of the year 9999: Python has no later date
_BIGINT: Final = range(-(2**63), 2**63)
# PostgreSQL stores neither NUL nor unpaired surrogates; JSON can spell both.
_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")


class PageTokenCodec:
    """Encodes and decodes the page tokens of a process.

    With a key, a client cannot forge a token. Without one, the digest only detects damage and other filters; a forged
    token holds values of the right kinds, which the database can store.
    """

    def __init__(self, key: bytes = b"") -> None:
        """Use a key that all replicas of the process share."""
        self._key = key

    def encode(self, filters: object, *position: PositionItem) -> str:
        """Return the token of the page after a position. The ``repr`` of the filters must name their values."""
        items = [(item - _EPOCH) // _MICROSECOND if isinstance(item, datetime) else item for item in position]
        body = json.dumps(items, separators=(",", ":"), ensure_ascii=False).encode()
        return base64.urlsafe_b64encode(self._mac(body, filters) + body).rstrip(b"=").decode()

    def decode(self, token: str, filters: object, kinds: Sequence[type[PositionItem]]) -> tuple[Any, ...] | None:
        """Return the position, one item of each kind; ``None`` for the first page.

        Raise ``PageTokenInvalid`` when the token is damaged, has other kinds, or belongs to other filters.
        """
        if not token:
            return None
        try:
            return self._position(token, filters, kinds)
        except (ValueError, TypeError, binascii.Error, RecursionError):
            message = "Invalid page token. Use next_page_token of the previous page, with the same filters."
            raise PageTokenInvalid(message) from None

    def _position(self, token: str, filters: object, kinds: Sequence[type[PositionItem]]) -> tuple[Any, ...]:
        if len(token) > _MAX_CHARACTERS:
            raise ValueError
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        mac, body = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(body, filters)):
            raise ValueError
        return tuple(_item(item, kind) for item, kind in zip(json.loads(body), kinds, strict=True))

    def _mac(self, body: bytes, filters: object) -> bytes:
        return hmac.digest(self._key, repr(filters).encode("utf-8", "surrogatepass") + b"\n" + body, "sha256")[
            :_MAC_BYTES
        ]


def _item(item: object, kind: type[PositionItem]) -> PositionItem:
    """Return an item as its kind; ``ValueError`` when it has another one or the database cannot store it."""
    if kind is datetime and type(item) is int and 0 <= item <= _LATEST_MICROSECOND:
        return _EPOCH + item * _MICROSECOND
    if type(item) is kind:
        if isinstance(item, str) and not _UNSTORABLE.search(item):
            return item
        if isinstance(item, float) and math.isfinite(item):
            return item
        if isinstance(item, int) and item in _BIGINT:
            return item
    raise ValueError
