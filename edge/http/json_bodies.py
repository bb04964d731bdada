"""Decode JSON request bodies strictly into msgspec structs.

Litestar's own decoding is lenient: it accepts ``"40"`` for 40.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
from litestar.dto import AbstractDTO

from chassis.errors import FieldViolation
from edge.http.errors import MalformedRequest, MediaTypeUnsupported
from edge.http.json_names import DuplicateName, check_names
from edge.http.problems import from_validation_messages
from edge.http.text_rules import check_json_text

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from litestar.dto.data_structures import DTOFieldDefinition
    from litestar.openapi.spec import Reference, Schema
    from litestar.typing import FieldDefinition

BodyT = TypeVar("BodyT")

JSON: Final = "application/json"

_PATH_IN_MESSAGE: Final = re.compile(r" - at `(?:key in )?\$\.?(?P<path>.*)`$")
_FIELD_IN_MESSAGE: Final = re.compile(r"(?:missing required|unknown) field `(?P<field>.+?)`")


def decode_json(raw: bytes, model: type[BodyT]) -> BodyT:
    """Return the body as ``model``; raise ``MalformedRequest`` or ``RuleBroken`` naming the first invalid field."""
    check_json_text(raw)
    try:
        decoded = msgspec.json.decode(raw, type=model)
        check_names(raw.decode())
    except msgspec.ValidationError as error:
        raise from_validation_messages([_violation(str(error))]) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        message = "The body is not valid JSON."
        raise MalformedRequest(message, fields=[FieldViolation("", message)]) from None
    except DuplicateName as error:
        message = "The name is given twice in one object."
        raise MalformedRequest(message, fields=[FieldViolation(error.name, message)]) from None
    return decoded


def check_media_type(headers: Mapping[str, str]) -> None:
    """Raise ``MediaTypeUnsupported`` for a body that is not declared as JSON, or is compressed."""
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != JSON and not (media_type.startswith("application/") and media_type.endswith("+json")):
        message = f"The body must be {JSON}, not {media_type}." if media_type else f"Content-Type is missing: {JSON}."
        raise MediaTypeUnsupported(message)
    coding = headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        message = f"A body must not be compressed; this one is {coding}."
        raise MediaTypeUnsupported(message)


def _violation(text: str) -> FieldViolation:
    found = _PATH_IN_MESSAGE.search(text)
    path = found["path"] if found else ""
    message = text[: found.start()] if found else text
    named = _FIELD_IN_MESSAGE.search(message)
    if named:
        path = f"{path}.{named['field']}" if path else named["field"]
    return FieldViolation(path, message)


class JsonBody(AbstractDTO[BodyT]):
    """Decodes ``data`` of a handler strictly; set ``dto=JsonBody[Model], return_dto=None`` on the handler."""

    def decode_bytes(self, value: bytes) -> Any:
        """Decode the raw body, whose media type was checked before."""
        return decode_json(value, self.model_type)

    @classmethod
    def generate_field_definitions(cls, model_type: type[Any]) -> Generator[DTOFieldDefinition, None, None]:
        """Yield nothing: the struct is used as it is."""
        del model_type
        yield from ()

    @classmethod
    def detect_nested_field(cls, field_definition: FieldDefinition) -> bool:
        """Return ``False``: the struct is used as it is."""
        del field_definition
        return False

    @classmethod
    def create_openapi_schema(
        cls, field_definition: FieldDefinition, handler_id: str, schema_creator: Any
    ) -> Reference | Schema:
        """Return the schema of the struct."""
        del handler_id
        schema: Reference | Schema = schema_creator.for_field_definition(field_definition)
        return schema
