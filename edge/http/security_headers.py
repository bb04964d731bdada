"""Security headers of every response."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    Headers = Sequence[tuple[bytes, bytes]]

PAGE: Final = "/schema"
# Data: it may load and run nothing, and no page may frame it.
DATA_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"
# The API reference: its own files and calls, and the inline styles and images of Swagger UI.
PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'self'; form-action 'none'; frame-ancestors 'none'"
)

_COMMON: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"permissions-policy", b"camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_DATA: Final = (*_COMMON, (b"content-security-policy", DATA_POLICY.encode()))
_PAGE: Final = (*_COMMON, (b"content-security-policy", PAGE_POLICY.encode()))
# A year. Only for this host: others of the domain may not speak https.
_HTTPS_ONLY: Final = (b"strict-transport-security", b"max-age=31536000")


def security_headers(path: str, *, secure: bool) -> Headers:
    """Return the headers of a response; over https with Strict-Transport-Security."""
    headers = _PAGE if path == PAGE or path.startswith(f"{PAGE}/") else _DATA
    return (*headers, _HTTPS_ONLY) if secure else headers
