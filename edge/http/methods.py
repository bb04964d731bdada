"""The methods of each path, for the ``Allow`` header of OPTIONS and of 405, and the paths of WebSockets."""

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
    """Return the value of the ``Allow`` header: with HEAD wherever GET is (RFC 9110, 9.3.2), without WebSockets."""
    known = {method for method in methods if method in _KNOWN}
    return ", ".join(sorted(known | {"HEAD"} if "GET" in known else known))


def label(method: str) -> str:
    """Return the method as a label of a metric; ``other`` for unknown ones, each of which would be a time series."""
    return method if method in _KNOWN else "other"


def allowed_methods(app: Litestar) -> Mapping[str, str]:
    """Return ``Allow`` by path template: Litestar's own response to OPTIONS has only methods registered together."""
    found: dict[str, set[str]] = {}
    for route in app.routes:
        found.setdefault(route.path_format, set()).update(getattr(route, "methods", ()))
    return {path: allow(methods) for path, methods in found.items()}


def socket_paths(app: Litestar) -> frozenset[str]:
    """Return the paths that serve WebSockets."""
    return frozenset(route.path for route in app.routes if isinstance(route, WebSocketRoute))
