"""Page tokens: where the next page begins, and a fingerprint of the filters they are valid for."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json

from chassis.errors import PageTokenInvalid

_FINGERPRINT_CHARACTERS = 12
_LATEST_MICROSECOND = 253_402_300_799_999_999  # the end of the year 9999; versions are smaller


def encode(filters: object, *place: str | int) -> str:
    """The token of the page after ``place``."""
    raw = json.dumps([_fingerprint(filters), *place], separators=(",", ":"))
    return base64.urlsafe_b64encode(raw.encode()).rstrip(b"=").decode()


def decode(token: str, filters: object, kinds: tuple[type, ...]) -> tuple[str | int, ...] | None:
    """The place in a token; ``None`` for the first page; ``PageTokenInvalid`` when it is not one of these filters."""
    if not token:
        return None
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        fingerprint, *place = json.loads(raw)
    except (ValueError, binascii.Error, TypeError, RecursionError):
        raise _invalid("The page token cannot be read: use one exactly as it was given to you.") from None
    if tuple(type(item) for item in place) != kinds or not all(map(_fits, place)):
        raise _invalid("The page token cannot be read: use one exactly as it was given to you.")
    if fingerprint != _fingerprint(filters):
        raise _invalid("The page token was given for other filters: begin with the first page.")
    return tuple(place)


def _fits(item: str | int) -> bool:
    """Return whether the database can take it: a token is not signed, and what it holds goes into a query."""
    if isinstance(item, int):
        return 0 <= item <= _LATEST_MICROSECOND
    return "\0" not in item and item.isascii()


def _fingerprint(filters: object) -> str:
    return hashlib.sha256(repr(filters).encode()).hexdigest()[:_FINGERPRINT_CHARACTERS]


def _invalid(message: str) -> PageTokenInvalid:
    return PageTokenInvalid(message)
