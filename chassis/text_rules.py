"""Characters that texts may not have, and the fields of a request that have one.

They are invisible, forge lines, or disguise other text: control characters, line and paragraph separators, marks of the
writing direction, annotation marks, surrogates and noncharacters. Joiners, which scripts and emoji need, are permitted.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.descriptor import FieldDescriptor

from buf.validate import validate_pb2
from chassis.errors import FieldViolation

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from google.protobuf.descriptor import Descriptor
    from google.protobuf.message import Message

_BEYOND_C0: Final = "\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufff9-\ufffb\ufffe\uffff"
CONTROL: Final = re.compile(f"[\x00-\x1f{_BEYOND_C0}]")
# For multi-line texts: tabs and line ends are permitted.
CONTROL_BUT_LINES: Final = re.compile(f"[\x00-\x08\x0b\x0c\x0e-\x1f{_BEYOND_C0}]")
ONE_LINE: Final = "must be one line without control characters"
NO_CONTROL: Final = "must not hold control characters"

_STRUCT: Final = "google.protobuf.Struct"


def text_violations(request: Message, multi_line: Collection[str]) -> list[FieldViolation]:
    """Return a violation for each text of a request that has such a character, with its path.

    ``multi_line`` has the full names of the fields whose texts may have tabs and line ends. Lists whose items the
    contract validates one by one are skipped, because an invalid item must not fail the others.
    """
    return [FieldViolation(path, message) for path, message in _walk(request, "", frozenset(multi_line))]


def _walk(message: Message, above: str, multi_line: frozenset[str]) -> Iterator[tuple[str, str]]:
    for field, value in message.ListFields():
        path = f"{above}{field.name}"
        if field.type == FieldDescriptor.TYPE_STRING:
            lines = field.full_name in multi_line
            for place, text in _items(field, value, path):
                yield from _checked(text, place, lines=lines)
        elif field.message_type is None or not _may_hold_text(field):
            continue
        elif field.message_type.full_name == _STRUCT:
            yield from _struct(value, path, lines=field.full_name in multi_line)
        else:
            for place, inner in _items(field, value, path):
                yield from _walk(inner, f"{place}.", multi_line)


def _items(field: FieldDescriptor, value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if not field.is_repeated:
        yield path, value
        return
    for position, item in enumerate(value):
        yield f"{path}[{position}]", item


def _struct(value: Any, path: str, *, lines: bool) -> Iterator[tuple[str, str]]:
    """Yield the violations in names and texts of an object, with the paths of the domain's rules."""
    for name, inner in value.fields.items():
        place = f'{path}["{name}"]'
        yield from _checked(name, place, lines=lines)
        match inner.WhichOneof("kind"):
            case "string_value":
                yield from _checked(inner.string_value, place, lines=lines)
            case "struct_value":
                yield from _struct(inner.struct_value, place, lines=lines)
            case "list_value":
                for position, item in enumerate(inner.list_value.values):
                    yield from _checked(item.string_value, f"{place}[{position}]", lines=lines)
            case _:
                pass


def _checked(text: str, path: str, *, lines: bool) -> Iterator[tuple[str, str]]:
    if (CONTROL_BUT_LINES if lines else CONTROL).search(text):
        yield path, NO_CONTROL if lines else ONE_LINE


@lru_cache(512)
def _may_hold_text(field: FieldDescriptor) -> bool:
    """Return whether a message field can contain texts to check."""
    rules = field.GetOptions().Extensions[validate_pb2.field]
    if rules.repeated.items.ignore == validate_pb2.IGNORE_ALWAYS:
        return False
    return field.message_type is not None and _has_text(field.message_type, frozenset())


def _has_text(message: Descriptor, seen: frozenset[str]) -> bool:
    if message.full_name in seen:
        return False
    below = seen | {message.full_name}
    return any(
        field.type == FieldDescriptor.TYPE_STRING
        or (field.message_type is not None and _has_text(field.message_type, below))
        for field in message.fields
    )
