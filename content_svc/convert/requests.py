"""Requests as domain objects. What they return is not validated yet."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, cast

from changelog.if_match import seen_versions
from chassis.errors import FieldViolation
from content_svc.domain.category import Category
from content_svc.domain.listing import Order, PartListing
from content_svc.domain.part import Condition, Image, Money, PartContent, PriceBreak, Scalar, Status
from content_svc.domain.part_rules import canonical
from content_svc.domain.violations import field_invalid
from partstream.content.v1 import part_pb2, part_service_pb2

if TYPE_CHECKING:
    from collections.abc import Collection

    from google.protobuf.message import Message
    from google.protobuf.struct_pb2 import Struct

STATUSES = {
    part_pb2.PART_STATUS_DRAFT: "draft",
    part_pb2.PART_STATUS_PUBLISHED: "published",
    part_pb2.PART_STATUS_ARCHIVED: "archived",
}
_ORDER_OF: dict[int, Order] = {
    part_service_pb2.PART_ORDER_PART_ID: "part_id",
    part_service_pb2.PART_ORDER_TITLE: "title",
    part_service_pb2.PART_ORDER_PRICE_ASC: "price_asc",
    part_service_pb2.PART_ORDER_PRICE_DESC: "price_desc",
    part_service_pb2.PART_ORDER_UPDATE_TIME_DESC: "update_time_desc",
}


def body_hash(request: Message, method: str, user_id: str) -> bytes:
    """Return the hash that a retry of a request shares: of its method, its caller and its body."""
    body = request.SerializeToString(deterministic=True)
    return hashlib.sha256(b"\0".join((method.encode(), user_id.encode(), body))).digest()


def status_of(number: int) -> Status | None:
    """Return the status; ``None`` for an unspecified one."""
    return cast("Status | None", STATUSES.get(cast("part_pb2.PartStatus.ValueType", number)))


def condition(request: part_service_pb2.UpdatePartRequest) -> Condition:
    """Return the precondition of an update. Raise ``FieldInvalid`` when its parts exclude each other."""
    for name in ("expected_version", "if_match"):
        if request.unconditional and request.HasField(name):
            raise field_invalid([FieldViolation("unconditional", f"excludes {name}")])
    expected = request.expected_version if request.HasField("expected_version") else None
    return Condition(expected_version=expected, unconditional=request.unconditional, if_match=seen_versions(request))


def upsert_masks(request: part_service_pb2.BatchUpsertPartsRequest) -> list[Collection[str]]:
    """Return the mask of each part; without masks, all fields of every part."""
    if request.part_update_masks:
        return [mask.paths for mask in request.part_update_masks]
    return [request.update_mask.paths or ("*",)] * len(request.parts)


def content_from_part(part: part_pb2.Part) -> PartContent:
    """Return the content in the form in which it is stored."""
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
    """Return scalars as they are, a value without a kind as null; other values stay, for the rules to reject."""
    found: dict[str, Any] = {}
    for name, value in struct.fields.items():
        kind = value.WhichOneof("kind")
        found[name] = getattr(value, kind) if kind and kind != "null_value" else None
    return found


def listing_from_request(request: part_service_pb2.ListPartsRequest) -> PartListing:
    """Return filters and order; a text without an order is sorted by how well parts match it."""
    query = " ".join(request.query.replace("\0", " ").split())
    default: Order = "rank" if query else "part_id"
    return PartListing(
        category_id=request.category_id,
        query=query,
        status=status_of(request.status) or "published",
        order=_ORDER_OF.get(request.order, default),
    )


def category_from_message(message: part_pb2.Category) -> Category:
    """Return the fields of a category that a caller can set."""
    return Category(
        category_id=message.category_id,
        parent_id=message.parent_id,
        name=message.name.strip(),
        position=message.position,
    )
