"""The query of an address: only parameters that its route has, each once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from litestar.routes import HTTPRoute

from chassis.errors import FieldViolation
from edge.errors import MalformedRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from litestar import Litestar, Request


def known_parameters(app: Litestar) -> Mapping[tuple[str, str], frozenset[str]]:
    """Return the names of the query parameters of each path template and method."""
    return {
        (route.path_format, method): frozenset(item.field_alias for item in model.expected_query_params)
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for method, (_, model) in route.route_handler_map.items()
    }


def check_query(request: Request[Any, Any, Any]) -> None:
    """Raise ``MalformedRequest`` for a parameter that the route does not have, or that is given twice."""
    raw = request.scope["query_string"]
    if not raw or request.method == "OPTIONS":
        return
    known: frozenset[str] = request.app.state["query_parameters"].get(
        (request.scope["path_template"], request.method), frozenset()
    )
    seen: set[str] = set()
    found: list[FieldViolation] = []
    for name, _ in parse_qsl(raw.decode(errors="replace"), keep_blank_values=True):
        if name not in known:
            found.append(FieldViolation(name, "There is no such query parameter."))
        elif name in seen:
            found.append(FieldViolation(name, "The query parameter is given twice."))
        seen.add(name)
    if found:
        message = f"{found[0].path}: {found[0].message}"
        raise MalformedRequest(message, fields=found)
