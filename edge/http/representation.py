"""Encoded JSON bodies with strong entity tags; each content coding is computed at most once."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec
from litestar import Response

from edge.http.compression import IDENTITY, MIN_BYTES, choose_coding, compress
from edge.http.preconditions import is_known
from edge.http.request_context import current_request_context

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from litestar import Request

JSON = "application/json"
REVALIDATE = "no-cache"  # may be stored, must be revalidated: an ETag round trip is cheap and stock is live
PRIVATE = "private, no-store"

_encoder = msgspec.json.Encoder()


class Representation:
    """One body in all its codings. Its content never changes, so that a cache can share it among requests."""

    __slots__ = ("_codings", "is_tag_of_bytes", "tag")

    def __init__(self, raw: bytes, *, tag: str | None = None) -> None:
        """Take the bytes; ``tag`` is the opaque part of the ETag, a hash of the bytes when absent."""
        self._codings: dict[str, bytes] = {IDENTITY: raw}
        self.is_tag_of_bytes = tag is None
        self.tag = tag or hashlib.blake2b(raw, digest_size=12).hexdigest()

    @classmethod
    def of(cls, view: object, *, tag: str | None = None) -> Representation:
        """Encode a view."""
        return cls(_encoder.encode(view), tag=tag)

    @property
    def size(self) -> int:
        """Return the number of bytes stored, all codings together."""
        return sum(len(body) for body in self._codings.values())

    def coding_for(self, accept_encoding: str) -> str:
        """Return the coding of the response; small bodies are never compressed."""
        if len(self._codings[IDENTITY]) < MIN_BYTES:
            return IDENTITY
        return choose_coding(accept_encoding)

    def body(self, coding: str) -> bytes:
        """Return the bytes in a coding."""
        known = self._codings.get(coding)
        if known is None:
            known = self._codings[coding] = compress(self._codings[IDENTITY], coding)
        return known

    def etag(self, coding: str, epochs: frozenset[tuple[str, UUID]] = frozenset()) -> str:
        """Return a strong ETag, which differs by coding (RFC 9110, 8.8.3.3).

        A hash of the bytes is prefixed with the epochs of the logs, so that no tag from before a restore matches.
        """
        tag = f"{_mark(epochs)}.{self.tag}" if self.is_tag_of_bytes and epochs else self.tag
        return f'"{tag}"' if coding == IDENTITY else f'"{tag}.{coding}"'


@lru_cache(maxsize=16)
def _mark(epochs: frozenset[tuple[str, UUID]]) -> str:
    """Return a hash of the epochs of some logs."""
    named = "\n".join(sorted(f"{log} {epoch}" for log, epoch in epochs))
    return hashlib.blake2b(named.encode(), digest_size=6).hexdigest()


def respond(
    request: Request[Any, Any, Any],
    shown: Representation,
    *,
    cache_control: str = REVALIDATE,
    cache_status: str = "",
    media_type: str = JSON,
) -> Response[Any]:
    """Return 200 with the body, or 304 when the client already has it."""
    coding = shown.coding_for(request.headers.get("accept-encoding", ""))
    context = current_request_context()
    etag = shown.etag(coding, frozenset(context.epochs))
    private = bool(context.bearer) or context.stale_cookie  # a shared cache must not store a Set-Cookie
    headers = {
        "ETag": etag,
        "Cache-Control": f"private, {cache_control}" if private else cache_control,
        "Vary": "Accept-Encoding, Authorization, Cookie",
    }
    if cache_status:
        headers["Cache-Status"] = cache_status
    if is_known(request, etag):
        return Response(b"", status_code=304, media_type=media_type, headers=headers)
    if coding != IDENTITY:
        headers["Content-Encoding"] = coding
    return Response(shown.body(coding), media_type=media_type, headers=headers)


def reply(view: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[Any]:
    """Return a response that no cache may store: the result of a write, or data that only staff may read."""
    return Response(
        _encoder.encode(view),
        status_code=status,
        media_type=JSON,
        headers={"Cache-Control": PRIVATE, "Vary": "Authorization, Cookie", **(headers or {})},
    )
