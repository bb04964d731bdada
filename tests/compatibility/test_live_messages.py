"""Messages of the WebSocket keep their fields, types and close codes within a major version."""

from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec

from edge.live import errors, protocol
from tests.compatibility.baseline import changes

STRUCTS = [found for found in vars(protocol).values() if isinstance(found, type) and issubclass(found, msgspec.Struct)]
MESSAGES = [struct for struct in STRUCTS if struct.__struct_config__.tag is not None]
TAG_OF_REQUESTS = "op"


def _fields(path: str, message: type[msgspec.Struct]) -> Iterator[tuple[str, str]]:
    for field in msgspec.structs.fields(message):
        for struct in _structs(field.type):
            yield from _fields(f"{path}.{field.name}[]", struct)
        yield f"{path}.{field.name}", _kind(field.type)


def _structs(annotation: Any) -> Iterator[type[msgspec.Struct]]:
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        yield annotation
    for argument in get_args(annotation):
        yield from _structs(argument)


def _kind(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(arguments[0])
    if origin is Literal:
        return " | ".join(arguments)
    if origin is list:
        return f"list of {_kind(arguments[0])}"
    if isinstance(annotation, UnionType) or any(_structs(annotation)):
        return "object"
    return str(annotation.__name__)


def test_no_field_of_a_message_is_removed_or_changed(renew_baselines: bool) -> None:
    current = dict(
        pair
        for message in MESSAGES
        for pair in _fields(f"{message.__struct_config__.tag_field}={message.__struct_config__.tag}", message)
    )

    assert changes("live_messages", current, renew=renew_baselines) == []


def test_no_request_gains_a_required_field() -> None:
    """A client that omits what did not exist when it was written must stay valid."""
    required = {
        f"{message.__struct_config__.tag}.{field.name}"
        for message in MESSAGES
        for field in msgspec.structs.fields(message)
        if message.__struct_config__.tag_field == TAG_OF_REQUESTS and field.required
    }

    assert required == {"subscribe.id", "unsubscribe.id", "auth.token"}


def test_no_close_code_is_removed(renew_baselines: bool) -> None:
    codes = {
        str(found.code): "close code"
        for found in vars(errors).values()
        if isinstance(found, type) and issubclass(found, errors.CloseSocket)
    }

    assert changes("close_codes", codes, renew=renew_baselines) == []
