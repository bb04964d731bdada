"""The query parameter ``fields``: partial responses with only the named fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from litestar.params import QueryParameter

from chassis.errors import FieldViolation
from edge.http.errors import MalformedRequest

if TYPE_CHECKING:
    from collections.abc import Collection


def fields_parameter(subject: str, *views: type[msgspec.Struct]) -> QueryParameter:
    """Return the parameter ``fields`` of a route.

    Its pattern only documents the names: ``parse_fields`` rejects others with a clearer error.
    """
    names = dict.fromkeys(name for view in views for name in view.__struct_fields__)
    name = f"({'|'.join(names)})"
    return QueryParameter(
        description=f"comma-separated fields of {subject}", schema_extra={"pattern": f"^{name}(,{name})*$"}
    )


def parse_fields(raw: str | None, view: type[msgspec.Struct]) -> tuple[str, ...]:
    """Return the requested fields in the order of the view, empty = all; ``MalformedRequest`` for unknown ones."""
    if raw is None:
        return ()
    asked = {item.strip() for item in raw.split(",") if item.strip()}
    known = view.__struct_fields__
    unknown = sorted(asked.difference(known))
    if unknown or not asked:
        message = f"not among {', '.join(known)}"
        wrong = unknown or [""]
        detail = f"fields= has unknown names: {', '.join(wrong)}."
        raise MalformedRequest(detail, fields=[FieldViolation("fields", f"{item!r} is {message}") for item in wrong])
    return tuple(name for name in known if name in asked)


def only(view: msgspec.Struct, fields: Collection[str]) -> object:
    """Return the view reduced to some of its fields."""
    if not fields:
        return view
    return {name: getattr(view, name) for name in fields}
