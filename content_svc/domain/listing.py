"""A listing of parts: filters, order, and page tokens that are valid for the same filters only."""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

from chassis.errors import PageTokenInvalid
from content_svc.domain.part import Status

Order: TypeAlias = Literal["part_id", "title", "price_asc", "price_desc", "update_time_desc", "rank"]
# What a page was sorted by: the last row's value goes into the token of the next page. Moments are microseconds.
PageKey: TypeAlias = str | int | float

# What PostgreSQL cannot store: NUL, and halves of a surrogate pair, which JSON can spell.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")

DEFAULT_PAGE = 50
MAX_WORDS = 16

_BIGINT_MAX = 2**63 - 1
_LATEST_MICROSECOND = 253_402_300_799_999_999  # the end of the year 9999, beyond which Python has no date


@dataclass(frozen=True, slots=True)
class PartListing:
    """Which parts, and in what order. ``rank`` is how well a part matches the text."""

    category_id: str = ""
    query: str = ""
    status: Status = "published"
    order: Order = "part_id"

    @property
    def words(self) -> tuple[str, ...]:
        """The words to search, all of which must be found; those beyond the first few are left out."""
        return tuple(self.query.split()[:MAX_WORDS])


@dataclass(frozen=True, slots=True)
class PagePosition:
    """The last row of the page before."""

    key: PageKey
    part_id: str


def page_token(listing: PartListing, position: PagePosition) -> str:
    """The token of the page after a row."""
    body = json.dumps([_fingerprint(listing), position.key, position.part_id], ensure_ascii=False).encode()
    return base64.urlsafe_b64encode(zlib.crc32(body).to_bytes(4, "big") + body).rstrip(b"=").decode()


def page_position(listing: PartListing, token: str) -> PagePosition | None:
    """The row a token stands for; ``PageTokenInvalid`` when it is damaged or was issued for other filters."""
    if not token:
        return None
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        fingerprint, key, part_id = json.loads(raw[4:])
        intact = zlib.crc32(raw[4:]).to_bytes(4, "big") == raw[:4]
    except (ValueError, TypeError, binascii.Error, RecursionError):
        intact = False
    if not intact or fingerprint != _fingerprint(listing) or not _is_text(part_id) or not _fits(listing, key):
        message = "The page token cannot be read, or belongs to a listing with other filters."
        raise PageTokenInvalid(message)
    return PagePosition(key, part_id)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and not _UNSTORABLE.search(value)


def _fits(listing: PartListing, key: object) -> bool:
    """A checksum is no secret: what a token holds goes into a query, so that it must be of the right kind."""
    match listing.order:
        case "part_id" | "title":
            return _is_text(key)
        case "rank":
            return isinstance(key, float)
        case "update_time_desc":
            return type(key) is int and 0 <= key <= _LATEST_MICROSECOND
        case _:
            return type(key) is int and -1 <= key <= _BIGINT_MAX


def _fingerprint(listing: PartListing) -> int:
    return zlib.crc32(json.dumps(asdict(listing), sort_keys=True).encode())
