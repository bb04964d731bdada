"""Protobuf to domain and back. Pure."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, cast

from google.protobuf.struct_pb2 import NULL_VALUE
from google.protobuf.timestamp_pb2 import Timestamp

from changelog.if_match import seen_versions
from chassis.errors import FieldViolation
from content_svc.domain.category import Category
from content_svc.domain.listing import Order, PartListing
from content_svc.domain.part import Condition, Image, Money, Part, PartContent, PriceBreak, Scalar, Status
from content_svc.domain.part_rules import canonical
from content_svc.domain.part_upsert import Outcome, UpsertResult
from content_svc.domain.violations import field_invalid
from content_svc.sanitise import safe_html
from partstream.changes.v1.origin_pb2 import Actor
from partstream.content.v1 import part_pb2, part_service_pb2

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from google.protobuf.message import Message
    from google.protobuf.struct_pb2 import Struct

_STATUS_OF = {
    part_pb2.PART_STATUS_DRAFT: "draft",
    part_pb2.PART_STATUS_PUBLISHED: "published",
    part_pb2.PART_STATUS_ARCHIVED: "archived",
}
STATUS_NUMBER: dict[str, part_pb2.PartStatus.ValueType] = {name: number for number, name in _STATUS_OF.items()}

_ORDER_OF: dict[int, Order] = {
    part_service_pb2.PART_ORDER_PART_ID: "part_id",
    part_service_pb2.PART_ORDER_TITLE: "title",
    part_service_pb2.PART_ORDER_PRICE_ASC: "price_asc",
    part_service_pb2.PART_ORDER_PRICE_DESC: "price_desc",
    part_service_pb2.PART_ORDER_UPDATE_TIME_DESC: "update_time_desc",
}


_OUTCOME: dict[Outcome, part_service_pb2.PartUpsertOutcome.ValueType] = {
    "refused": part_service_pb2.PART_UPSERT_OUTCOME_UNSPECIFIED,
    "created": part_service_pb2.PART_UPSERT_OUTCOME_CREATED,
    "updated": part_service_pb2.PART_UPSERT_OUTCOME_UPDATED,
    "unchanged": part_service_pb2.PART_UPSERT_OUTCOME_UNCHANGED,
}


def body_hash(request: Message, method: str, user_id: str) -> bytes:
    """What a request asks for, and who asks it: a retry has the same, anything else has not."""
    body = request.SerializeToString(deterministic=True)
    return hashlib.sha256(b"\0".join((method.encode(), user_id.encode(), body))).digest()


def status_of(number: int) -> Status | None:
    """The status meant; ``None`` when it is left open."""
    return cast("Status | None", _STATUS_OF.get(cast("part_pb2.PartStatus.ValueType", number)))


def condition(request: part_service_pb2.UpdatePartRequest) -> Condition:
    """Return what the caller says of the version it replaces; ``FieldInvalid`` when it contradicts itself."""
    for name in ("expected_version", "if_match"):
        if request.unconditional and request.HasField(name):
            raise field_invalid([FieldViolation("unconditional", f"excludes {name}")])
    expected = request.expected_version if request.HasField("expected_version") else None
    return Condition(expected_version=expected, unconditional=request.unconditional, if_match=seen_versions(request))


def upsert_masks(request: part_service_pb2.BatchUpsertPartsRequest) -> list[Collection[str]]:
    """Return the fields to take, for each part."""
    if request.part_update_masks:
        return [mask.paths for mask in request.part_update_masks]
    return [request.update_mask.paths or ("*",)] * len(request.parts)


def content_from_part(part: part_pb2.Part) -> PartContent:
    """What a caller wants a part to say, in the form in which it is stored; not yet checked."""
    return canonical(
        PartContent(
            category_id=part.category_id,
            title=part.title,
            summary=part.summary,
            description=part.description,
            specifications=_from_struct(part.specifications),
            images=tuple(Image(image.url, image.alt, image.width, image.height) for image in part.images),
            price=Money(part.price.amount_minor, part.price.currency) if part.HasField("price") else None,
            price_breaks=tuple(PriceBreak(step.from_quantity, step.unit_price) for step in part.price_breaks),
            cost=Money(part.cost.amount_minor, part.cost.currency) if part.HasField("cost") else None,
            status=status_of(part.status),
            mpn=part.mpn,
            manufacturer=part.manufacturer,
            datasheet_url=part.datasheet_url,
        )
    )


def _from_struct(struct: Struct) -> dict[str, Scalar]:
    """Scalars as they are, a value of no kind as null; what is not a scalar stays something that the rules refuse."""
    found: dict[str, Any] = {}
    for name, value in struct.fields.items():
        kind = value.WhichOneof("kind")
        found[name] = getattr(value, kind) if kind and kind != "null_value" else None
    return found


def fill_struct(struct: Struct, values: Mapping[str, Any]) -> None:
    """Set scalars. ``Struct.update`` does the same at four times the cost."""
    fields = struct.fields
    for name, value in values.items():
        if isinstance(value, str):
            fields[name].string_value = value
        elif isinstance(value, bool):
            fields[name].bool_value = value
        elif value is None:
            fields[name].null_value = NULL_VALUE
        else:
            fields[name].number_value = value


def part_message(part: Part) -> part_pb2.Part:
    """A part as the contract shows it, staff fields included."""
    content = part.content
    description = safe_html(content.description)
    message = part_pb2.Part(
        part_id=part.part_id,
        category_id=content.category_id,
        category_path=part.category_path,
        title=content.title,
        summary=content.summary,
        description=description,
        description_sanitised=description != content.description,
        images=[
            part_pb2.PartImage(url=image.url, alt=image.alt, width=image.width, height=image.height)
            for image in content.images
        ],
        price=_money(content.price),
        price_breaks=[
            part_pb2.PriceBreak(from_quantity=step.from_quantity, unit_price=step.unit_price)
            for step in content.price_breaks
        ],
        cost=_money(content.cost),
        status=STATUS_NUMBER[content.status or "draft"],
        version=part.version,
        published_version=part.published_version,
        mpn=content.mpn,
        manufacturer=content.manufacturer,
        datasheet_url=content.datasheet_url,
        create_time=timestamp(part.created_at),
        update_time=timestamp(part.updated_at),
        updated_by=Actor(user_id=part.updated_by.user_id, username=part.updated_by.username)
        if part.updated_by
        else None,
        delete_time=timestamp(part.deleted_at) if part.deleted_at else None,
    )
    message.specifications.SetInParent()
    fill_struct(message.specifications, content.specifications)
    return message


def _money(money: Money | None) -> part_pb2.Money | None:
    return part_pb2.Money(amount_minor=money.amount_minor, currency=money.currency) if money else None


def timestamp(moment: datetime) -> Timestamp:
    """A moment as protobuf has it."""
    found = Timestamp()
    found.FromDatetime(moment)
    return found


def listing_from_request(request: part_service_pb2.ListPartsRequest) -> PartListing:
    """Filters and order; text without an order is sorted by how well it matches."""
    query = " ".join(request.query.replace("\0", " ").split())
    default: Order = "rank" if query else "part_id"
    return PartListing(
        category_id=request.category_id,
        query=query,
        status=status_of(request.status) or "published",
        order=_ORDER_OF.get(request.order, default),
    )


def category_from_message(message: part_pb2.Category) -> Category:
    """What a caller may say of a category; not yet checked."""
    return Category(
        category_id=message.category_id,
        parent_id=message.parent_id,
        name=message.name.strip(),
        position=message.position,
    )


def category_message(category: Category) -> part_pb2.Category:
    """A category as the contract shows it."""
    return part_pb2.Category(
        category_id=category.category_id,
        parent_id=category.parent_id,
        name=category.name,
        path=category.path,
        position=category.position,
        part_count=category.part_count,
        version=category.version,
    )


def upsert_result(result: UpsertResult) -> part_service_pb2.PartUpsertResult:
    """What became of one part of a batch."""
    error = result.error
    return part_service_pb2.PartUpsertResult(
        part_id=result.part_id,
        outcome=_OUTCOME[result.outcome],
        version=result.version,
        error_reason=error.reason if error else "",
        error_field=error.fields[0].path if error and error.fields else "",
        error_message=error.message if error else "",
    )
