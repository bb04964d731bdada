"""Decide which origins may read responses (CORS, Fetch Standard 3.2) and open WebSockets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Collection

    from litestar.datastructures import MutableScopeHeaders

METHODS: Final = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
REQUEST_HEADERS: Final = (
    "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Partstream-Min-Revision, "
    "Partstream-Owner-Key, Partstream-Request-Id, X-CSRF-Token, traceparent, tracestate"
)
EXPOSED: Final = (
    "Cache-Status, ETag, Idempotent-Replayed, Location, Partstream-Owner-Key, Partstream-Request-Id, "
    "Partstream-Revision, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate"
)
PREFLIGHT_SECONDS: Final = 600


def origins(raw: str) -> tuple[str, ...]:
    """Parse comma-separated origins; raise ``ValueError`` for an invalid one. There is no wildcard."""
    return tuple(_origin(item.strip()) for item in raw.split(",") if item.strip())


def _origin(text: str) -> str:
    parts = urlsplit(text.lower())
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.netloc != _netloc(parts.netloc):
        message = f"{text!r} is not an origin, such as https://shop.example"
        raise ValueError(message)
    if parts.path.strip("/") or parts.query or parts.fragment:
        message = f"{text!r} is an address: an origin has no path"
        raise ValueError(message)
    default = ":443" if parts.scheme == "https" else ":80"
    return f"{parts.scheme}://{parts.netloc.removesuffix(default)}"  # as browsers send it


def _netloc(text: str) -> str:
    """Return the host and port; empty when it has credentials, a wildcard or spaces."""
    return text if not set(text) & set("*@ ") else ""


class Origins:
    """The origins of ``PARTSTREAM_ALLOWED_ORIGINS``."""

    def __init__(self, allowed: Collection[str] = ()) -> None:
        """``allowed`` are origins other than the edge's own."""
        self._allowed = frozenset(allowed)

    def may_connect(self, origin: str, host: str) -> bool:
        """Return whether a WebSocket may be opened: from the own origin, a listed one, or without a browser."""
        return not origin or origin in self._allowed or urlsplit(origin).netloc.lower() == host.lower()

    def label(self, headers: MutableScopeHeaders, origin: str) -> None:
        """Add the headers by which a page of a listed origin may read the response; none for other origins."""
        if not self._allowed:
            return
        if "vary" in headers:
            headers["Vary"] = f"{headers['vary']}, Origin"
        else:
            headers["Vary"] = "Origin"
        if origin in self._allowed:
            headers["Access-Control-Allow-Origin"] = origin
            headers["Access-Control-Allow-Credentials"] = "true"
            headers["Access-Control-Expose-Headers"] = EXPOSED

    def is_preflight(self, scope: Any, origin: str) -> bool:
        """Return whether this is a CORS preflight request of a listed origin."""
        return (
            scope["method"] == "OPTIONS"
            and origin in self._allowed
            and any(name == b"access-control-request-method" for name, _ in scope["headers"])
        )


# Headers of the response to a preflight, besides those of ``label``.
PREFLIGHT: Final[dict[str, Any]] = {
    "Access-Control-Allow-Methods": METHODS,
    "Access-Control-Allow-Headers": REQUEST_HEADERS,
    "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
}
