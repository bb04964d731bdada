"""JSON schemas of the structs: as strict as the structs are, and with a description of every field."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import msgspec
from litestar.openapi.spec import Schema
from litestar.plugins import OpenAPISchemaPlugin

from edge.openapi.field_descriptions import description_of
from edge.openapi.request_examples import REQUEST_EXAMPLES

# Litestar's own, which ours completes; it has no public name.
from litestar._openapi.schema_generation.plugins.struct import StructSchemaPlugin  # isort: skip

if TYPE_CHECKING:
    from litestar._openapi.schema_generation import SchemaCreator
    from litestar.typing import FieldDefinition


class StrictStructs(OpenAPISchemaPlugin):
    """Adds what Litestar leaves out: descriptions, that a struct takes no other fields, and that unions may overlap."""

    def __init__(self) -> None:
        """Build upon Litestar's own."""
        self._structs = StructSchemaPlugin()

    def is_plugin_supported_field(self, field_definition: FieldDefinition) -> bool:
        """Whether it is a struct."""
        return self._structs.is_plugin_supported_field(field_definition)

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: SchemaCreator) -> Schema:
        """The schema of a struct."""
        schema = self._structs.to_openapi_schema(field_definition, schema_creator)
        struct: type[msgspec.Struct] = field_definition.type_
        schema.description = schema.description or inspect.getdoc(struct)
        if struct.__struct_config__.forbid_unknown_fields:
            schema.additional_properties = False
        if (example := REQUEST_EXAMPLES.get(struct.__name__)) is not None:
            schema.examples = [dict(example)]
        for name, made in (schema.properties or {}).items():
            loosen(made)
            made.description = made.description or description_of(struct.__name__, name)
        return schema


def loosen(schema: object) -> None:
    """``oneOf`` would refuse what fits twice: 5 is an integer and a number."""
    if not isinstance(schema, Schema):
        return
    if schema.one_of:
        schema.any_of, schema.one_of = schema.one_of, None
    for inner in (schema.items, schema.additional_properties, *(schema.any_of or ())):
        loosen(inner)
