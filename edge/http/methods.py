"""What an address serves: its methods, for the ``Allow`` header of OPTIONS and of 405, or WebSockets."""

from __future__ import annotations

from http import HTTPMethod
from typing import TYPE_CHECKING, Final

from litestar.routes import WebSocketRoute

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from litestar import Litestar

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_KNOWN: Final = frozenset(method.value for method in HTTPMethod)


def allow(methods: Iterable[str]) -> str:
    """The header's value. A HEAD is answered wherever a GET is (RFC 9110, 9.3.2); a WebSocket is no method."""
    known = {method for method in methods if method in _KNOWN}
    return ", ".join(sorted(known | {"HEAD"} if "GET" in known else known))


def label(method: str) -> str:
    """The method as a label of a metric: anyone can make up more, and each would be a time series for ever."""
    return method if method in _KNOWN else "other"


def allowed_methods(app: Litestar) -> Mapping[str, str]:
    """``Allow`` by path template. Litestar's own answer to OPTIONS names only methods that were registered together."""
    found: dict[str, set[str]] = {}
    for route in app.routes:
        found.setdefault(route.path_format, set()).update(getattr(route, "methods", ()))
    return {path: allow(methods) for path, methods in found.items()}


def socket_paths(app: Litestar) -> frozenset[str]:
    """Return the paths that serve WebSockets."""
    return frozenset(route.path for route in app.routes if isinstance(route, WebSocketRoute))
