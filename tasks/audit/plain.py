"""Convert protobuf messages to JSON values: numbers stay numbers, times are RFC 3339, enums are lower-case words."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToDict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from google.protobuf.descriptor import Descriptor
    from google.protobuf.message import Message

    Reader = Callable[[Any], Any]


def plain(message: Message) -> dict[str, Any]:
    """Return every field of a message by its proto name; ``None`` where a field with presence is absent.

    Unlike protobuf's own JSON, 64-bit numbers are not turned into text, so that old and new values compare as numbers.
    """
    return {name: read(message) for name, read in _readers(message.DESCRIPTOR)}


@lru_cache(maxsize=256)
def _readers(descriptor: Descriptor) -> tuple[tuple[str, Reader], ...]:
    return tuple((field.name, _reader(field)) for field in descriptor.fields)


def _reader(field: FieldDescriptor) -> Reader:
    name, value = field.name, _value(field)
    if field.is_repeated:
        return lambda message: [value(item) for item in getattr(message, name)]
    if field.has_presence:
        return lambda message: value(getattr(message, name)) if message.HasField(name) else None
    return lambda message: value(getattr(message, name))


def _value(field: FieldDescriptor) -> Reader:
    if field.message_type is not None:
        return _WELL_KNOWN.get(field.message_type.full_name, plain)
    if field.enum_type is not None:
        prefix = _screaming(field.enum_type.name)
        words = {item.number: item.name.removeprefix(prefix).lower() for item in field.enum_type.values}
        return lambda number: words.get(number, str(number))
    return _same


def _same(value: Any) -> Any:
    return value


def _struct(message: Any) -> dict[str, Any]:
    return {name: _struct_value(value) for name, value in message.fields.items()}


def _struct_value(value: Any) -> Any:
    """A struct has one kind of number; return a whole one as it was given, ``4700`` and not ``4700.0``."""
    match value.WhichOneof("kind"):
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "struct_value":
            return _struct(value.struct_value)
        case "list_value":
            return [_struct_value(item) for item in value.list_value.values]
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
    return None


# Messages with a meaning of their own in JSON.
_WELL_KNOWN: Mapping[str, Reader] = {
    "google.protobuf.Timestamp": MessageToDict,
    "google.protobuf.Duration": MessageToDict,
    "google.protobuf.Struct": _struct,
    "google.protobuf.Value": _struct_value,
}


def _screaming(name: str) -> str:
    """``PartStatus`` as ``PART_STATUS_``: what buf's rules put before each value."""
    return "".join(f"_{letter}" if letter.isupper() else letter.upper() for letter in name).lstrip("_") + "_"
