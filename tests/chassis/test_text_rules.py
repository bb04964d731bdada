"""Control characters are rejected in every text of every request."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import FieldDescriptor

from buf.validate import validate_pb2
from chassis.errors import FieldInvalid
from chassis.interceptor import check_rules
from chassis.logs import visible, visible_json
from chassis.text_rules import CONTROL, CONTROL_BUT_LINES, text_violations
from cli.catalogue_import.text import UNPRINTABLE
from content_svc.domain import violations
from content_svc.servicer import MULTI_LINE
from edge.http.text_rules import _SUSPECT
from partstream.changes.v1 import change_log_service_pb2
from partstream.content.v1 import part_service_pb2
from partstream.inventory.v1 import stock_service_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.descriptor import Descriptor
    from google.protobuf.message import Message

BAD = ["\0", "\a", "\x1b[31m", "\x7f", "\x85", "\x9b31m", "\u2028", "\u2029", "\u202e", "\u2066", "\ufff9", "\uffff"]
LINES = ["\n", "\r", "\t"]
# Of scripts and emoji: joiners, direction marks, a flag.
GOOD = "Ω µm ½ \u0645\u06cc\u200c\u062e \u200f(א)\u200e 👩\u200d🔧 🏴\U000e0067\U000e0062\U000e007f 中"
NONE: frozenset[str] = frozenset()


def requests() -> list[Descriptor]:
    """Return every request message of every service."""
    files = (stock_service_pb2, part_service_pb2, change_log_service_pb2)
    services = [service for file in files for service in file.DESCRIPTOR.services_by_name.values()]
    return [method.input_type for service in services for method in service.methods]


def text_fields(message: Descriptor, way: tuple[FieldDescriptor, ...] = ()) -> Iterator[tuple[FieldDescriptor, ...]]:
    """Yield the path to each text below a message, except in lists whose items are validated one by one."""
    for field in message.fields:
        rules = field.GetOptions().Extensions[validate_pb2.field]
        if field in way or rules.repeated.items.ignore == validate_pb2.IGNORE_ALWAYS:
            continue
        if field.type == FieldDescriptor.TYPE_STRING:
            yield (*way, field)
        elif field.message_type is not None:
            yield from text_fields(field.message_type, (*way, field))


def filled(message: Descriptor, way: tuple[FieldDescriptor, ...], text: str) -> Message:
    """Return a request with this text at the path."""
    made = message_factory.GetMessageClass(message)()
    target = made
    for field in way[:-1]:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            if way[-1].name == "key":
                getattr(target, field.name)[text].SetInParent()
                return made
            target = getattr(target, field.name)["name"]
        elif (
            field.name == "value" and field.containing_type is not None and field.containing_type.GetOptions().map_entry
        ):
            continue  # the value of a map follows its key
        elif field.is_repeated:
            target = getattr(target, field.name).add()
        else:
            target = getattr(target, field.name)
            target.SetInParent()
    if way[-1].is_repeated:
        getattr(target, way[-1].name).append(text)
    else:
        setattr(target, way[-1].name, text)
    return made


EVERY = [(request, way) for request in requests() for way in text_fields(request)]


def named(value: object) -> str | None:
    return ".".join(field.name for field in value) if isinstance(value, tuple) else getattr(value, "name", None)


def test_the_paths_include_every_text() -> None:
    found = {f"{request.name}.{named(way)}" for request, way in EVERY}

    assert {
        "SetStockRequest.reason",
        "CreateReservationRequest.order_reference",
        "BatchAdjustStockRequest.adjustments.reason",
        "BatchCreateReservationsRequest.reservations.order_reference",
        "CreateLocationRequest.name",
        "CreatePartRequest.part.images.alt",
        "CreatePartRequest.part.specifications.fields.key",
        "CreatePartRequest.part.specifications.fields.value.string_value",
        "CreateCategoryRequest.category.name",
        "ListPartsRequest.query",
        "UpdatePartRequest.update_mask.paths",
        "ListEntriesRequest.entity",
    } <= found


@pytest.mark.parametrize(("request_type", "way"), EVERY, ids=named)
def test_every_text_of_every_request_rejects_control_characters(
    request_type: Descriptor, way: tuple[FieldDescriptor, ...]
) -> None:
    of_lines = bool(MULTI_LINE & {field.full_name for field in way})
    for bad in BAD if of_lines else [*BAD, *LINES]:
        request = filled(request_type, way, f"before{bad}after")
        (violation,) = text_violations(request, MULTI_LINE)
        assert violation.path.startswith(way[0].name)
        with pytest.raises(FieldInvalid) as refused:
            check_rules(request, MULTI_LINE)
        assert violation in refused.value.fields
    for good in (GOOD, *LINES) if of_lines else (GOOD,):
        assert not text_violations(filled(request_type, way, f"before{good}after"), MULTI_LINE)


def test_every_invalid_text_is_named() -> None:
    request = stock_service_pb2.BatchAdjustStockRequest(reason="a\nb")
    request.adjustments.add(part_id="P", reason="fine")
    request.adjustments.add(part_id="P", reason="\x1b[2J")

    assert {violation.path for violation in text_violations(request, NONE)} == {"reason", "adjustments[1].reason"}


def test_all_packages_use_the_same_rule() -> None:
    """The services, the import and the edge reject the same characters, and output escapes them."""
    assert violations.CONTROL.pattern == CONTROL.pattern
    assert violations.CONTROL_BUT_LINES.pattern == CONTROL_BUT_LINES.pattern == UNPRINTABLE.pattern
    for code in range(0x11000):
        character = chr(code)
        assert (visible(character) != character) == bool(CONTROL.search(character)), hex(code)
        if code >= 127:
            assert (visible_json(character) != character) == bool(CONTROL.search(character)), hex(code)
        if code >= 127 and not 0xD800 <= code < 0xE000:
            assert bool(_SUSPECT.search(character.encode())) == bool(CONTROL.search(character)), hex(code)
