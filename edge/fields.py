"""``fields=``: partial answers, checked against what the answer has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from chassis.errors import FieldViolation
from edge.errors import MalformedRequest

if TYPE_CHECKING:
    from collections.abc import Collection


def parse_fields(raw: str | None, view: type[msgspec.Struct]) -> tuple[str, ...]:
    """The fields asked for, in the order of the view; empty = all. ``MalformedRequest`` names an unknown one."""
    if raw is None:
        return ()
    asked = {item.strip() for item in raw.split(",") if item.strip()}
    known = view.__struct_fields__
    unknown = sorted(asked.difference(known))
    if unknown or not asked:
        message = f"not among {', '.join(known)}"
        wrong = unknown or [""]
        detail = f"fields= names what is not there: {', '.join(wrong)}."
        raise MalformedRequest(detail, fields=[FieldViolation("fields", f"{item!r} is {message}") for item in wrong])
    return tuple(name for name in known if name in asked)


def only(view: msgspec.Struct, fields: Collection[str]) -> object:
    """The view reduced to some of its fields."""
    if not fields:
        return view
    return {name: getattr(view, name) for name in fields}
