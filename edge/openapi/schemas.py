"""Completes the schemas of structs: descriptions, examples, no further fields where a struct rejects them."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import msgspec
from litestar.openapi.spec import Schema

from edge.openapi.field_descriptions import description_of
from edge.openapi.request_examples import REQUEST_EXAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from litestar.openapi.spec import OpenAPI


def complete_schemas(document: OpenAPI) -> None:
    """Add what Litestar omits from the schemas of structs. A schema belongs to the struct that its title names."""
    structs = _structs()
    for schema in document.components.schemas.values():
        struct = structs.get(schema.title or "")
        if struct is not None:
            _complete(schema, struct)


def _complete(schema: Schema, struct: type[msgspec.Struct]) -> None:
    schema.description = schema.description or inspect.getdoc(struct)
    if struct.__struct_config__.forbid_unknown_fields:
        schema.additional_properties = False
    if (example := REQUEST_EXAMPLES.get(struct.__name__)) is not None:
        schema.examples = [dict(example)]
    for name, field in (schema.properties or {}).items():
        loosen(field)
        field.description = field.description or description_of(struct.__name__, name)


def _structs() -> Mapping[str, type[msgspec.Struct]]:
    return {struct.__name__: struct for struct in _subclasses(msgspec.Struct)}


def _subclasses(base: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    for struct in base.__subclasses__():
        yield struct
        yield from _subclasses(struct)


def loosen(schema: object) -> None:
    """Replace ``oneOf`` by ``anyOf``: ``oneOf`` rejects values that match twice, such as 5 as integer and number."""
    if not isinstance(schema, Schema):
        return
    if schema.one_of:
        schema.any_of, schema.one_of = schema.one_of, None
    for inner in (schema.items, schema.additional_properties, *(schema.any_of or ())):
        loosen(inner)
