"""Check the head of every request before its body is read and before it is routed.

A URL that a proxy and this process may interpret differently is rejected: an encoded slash, an empty segment, a dot
segment. The listener itself rejects invalid HTTP.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

from chassis.errors import FieldViolation
from edge.http.errors import HeadersTooLarge, MalformedRequest, UriTooLong

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_TARGET_BYTES: Final = 8 * 1024  # of path and query
MAX_HEADER_BYTES: Final = 32 * 1024  # of all fields; several times a token and the cookies of a site

_HOST: Final = re.compile(rb"(?:[\w.~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?", re.ASCII)
_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_ENCODED_SLASH: Final = re.compile(rb"%2f", re.IGNORECASE)
_DOT_SEGMENT: Final = re.compile(rb"/(?:\.|%2e){1,2}(?:/|$)", re.IGNORECASE)
# Fields that a request may have once: of two, a proxy may use the other one.
_SINGLE: Final = frozenset(
    {
        b"host",
        b"authorization",
        b"content-type",
        b"content-length",
        b"content-encoding",
        b"transfer-encoding",
        b"idempotency-key",
        b"origin",
        b"partstream-min-revision",
        b"partstream-owner-key",
        b"x-csrf-token",
    }
)


def check_head(scope: Any, fields: Mapping[bytes, bytes]) -> None:
    """Raise ``MalformedRequest``, ``UriTooLong`` or ``HeadersTooLarge`` for an invalid or too large head.

    ``fields`` has the header fields by name.
    """
    path: bytes = scope.get("raw_path") or scope["path"].encode("latin-1", "replace")
    query: bytes = scope.get("query_string", b"")
    if len(path) + len(query) > MAX_TARGET_BYTES:
        message = f"Path and query have {MAX_TARGET_BYTES} bytes at most."
        raise UriTooLong(message)
    _check_headers(scope, fields)
    _check_path(path)
    if b"%" in query:
        _check_escapes(query, "query")


def _check_headers(scope: Any, fields: Mapping[bytes, bytes]) -> None:
    headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
    size = 0
    for name, value in headers:
        size += len(name) + len(value)
    if size > MAX_HEADER_BYTES:
        message = f"The header fields have {MAX_HEADER_BYTES} bytes at most."
        raise HeadersTooLarge(message)
    if len(fields) < len(headers):
        single = [name for name, _ in headers if name in _SINGLE]
        twice = next((name for name in single if single.count(name) > 1), None)
        if twice is not None:
            raise _malformed(f"The header field {twice.decode()} is sent twice.")
    host = fields.get(b"host", b"")
    if not _HOST.fullmatch(host) and (host or scope.get("http_version") not in {"1", "1.0"}):
        raise _malformed("The Host header field is missing or is no host.")
    if fields.get(b"transfer-encoding", b"chunked").strip().lower() != b"chunked":
        raise _malformed("The only Transfer-Encoding is chunked.")


def _check_path(path: bytes) -> None:
    if not path.startswith(b"/"):
        raise _malformed("The path must begin with a slash.")
    if b"//" in path:
        raise _malformed("The path must not have empty segments.")
    if b"%" in path:
        _check_escapes(path, "path")
        if _ENCODED_SLASH.search(path):
            raise _malformed("The path must not have encoded slashes.")
    if (b"/." in path or b"/%2" in path) and _DOT_SEGMENT.search(path):
        raise _malformed("The path must not have dot segments.")


def _check_escapes(raw: bytes, where: str) -> None:
    if _BAD_ESCAPE.search(raw):
        raise _malformed(f"The {where} has a percent sign without two hexadecimal digits.")
    try:
        unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise _malformed(f"The {where} is not UTF-8.") from None


def _malformed(message: str) -> MalformedRequest:
    return MalformedRequest(message, fields=[FieldViolation("", message)])
