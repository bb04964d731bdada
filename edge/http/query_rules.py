"""Check query parameters: only those of the route, each once unless it is a list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl

from litestar.routes import HTTPRoute

from chassis.errors import FieldViolation
from edge.http.errors import MalformedRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from litestar import Litestar, Request


class Parameters(NamedTuple):
    """The query parameters of a route: their names, and which of them may be repeated."""

    names: frozenset[str] = frozenset()
    lists: frozenset[str] = frozenset()


def known_parameters(app: Litestar) -> Mapping[tuple[str, str], Parameters]:
    """Return the query parameters of each path template and method."""
    return {
        (route.path_format, method): Parameters(
            frozenset(item.field_alias for item in model.expected_query_params),
            frozenset(model.sequence_query_parameter_names),
        )
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for method, (_, model) in route.route_handler_map.items()
    }


def check_query(request: Request[Any, Any, Any]) -> None:
    """Raise ``MalformedRequest`` for a parameter that the route does not have, or that is repeated and no list."""
    raw = request.scope["query_string"]
    if not raw or request.method == "OPTIONS":
        return
    known: Parameters = request.app.state["query_parameters"].get(
        (request.scope["path_template"], request.method), Parameters()
    )
    seen: set[str] = set()
    found: list[FieldViolation] = []
    for name, _ in parse_qsl(raw.decode(errors="replace"), keep_blank_values=True):
        if name not in known.names:
            found.append(FieldViolation(name, "Unknown query parameter."))
        elif name in seen and name not in known.lists:
            found.append(FieldViolation(name, "The query parameter is given twice."))
        seen.add(name)
    if found:
        message = f"{found[0].path}: {found[0].message}"
        raise MalformedRequest(message, fields=found)
