"""Domain objects, and snapshots of the change log, as messages of the contract."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from google.protobuf.struct_pb2 import NULL_VALUE
from google.protobuf.timestamp_pb2 import Timestamp

from content_svc.convert.requests import STATUSES
from content_svc.convert.safe_html import safe_html
from content_svc.domain.part_rules import canonical_specifications
from content_svc.domain.part_upsert import Outcome, UpsertResult
from partstream.changes.v1.origin_pb2 import Actor
from partstream.content.v1 import part_pb2, part_service_pb2

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.struct_pb2 import Struct

    from content_svc.domain.category import Category
    from content_svc.domain.part import Money, Part

_STATUS_NUMBERS: dict[str, part_pb2.PartStatus.ValueType] = {name: number for number, name in STATUSES.items()}

_OUTCOME: dict[Outcome, part_service_pb2.PartUpsertOutcome.ValueType] = {
    "rejected": part_service_pb2.PART_UPSERT_OUTCOME_UNSPECIFIED,
    "created": part_service_pb2.PART_UPSERT_OUTCOME_CREATED,
    "updated": part_service_pb2.PART_UPSERT_OUTCOME_UPDATED,
    "unchanged": part_service_pb2.PART_UPSERT_OUTCOME_UNCHANGED,
}


def _fill_struct(struct: Struct, values: Mapping[str, Any]) -> None:
    """Set scalars. ``Struct.update`` takes four times as long."""
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
    """Return a part with all fields; the servicer removes those that the caller cannot see."""
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
        status=_STATUS_NUMBERS[content.status or "draft"],
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
    _fill_struct(message.specifications, content.specifications)
    return message


def _money(money: Money | None) -> part_pb2.Money | None:
    return part_pb2.Money(amount_minor=money.amount_minor, currency=money.currency) if money else None


def timestamp(value: datetime) -> Timestamp:
    """Return a time as protobuf's ``Timestamp``."""
    message = Timestamp()
    message.FromDatetime(value)
    return message


def category_message(category: Category) -> part_pb2.Category:
    """Return a category with its part count."""
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
    """Return the result of one part of a batch."""
    error = result.error
    return part_service_pb2.PartUpsertResult(
        part_id=result.part_id,
        outcome=_OUTCOME[result.outcome],
        version=result.version,
        error_reason=error.reason if error else "",
        error_field=error.fields[0].path if error and error.fields else "",
        error_message=error.message if error else "",
    )


def fill_part_from_snapshot(message: part_pb2.Part, state: dict[str, Any]) -> None:
    """Set a part from a snapshot of the change log or of a version."""
    for name in ("part_id", "category_id", "title", "summary", "mpn", "manufacturer", "datasheet_url"):
        setattr(message, name, state[name])
    message.description = safe_html(state["description"])
    message.description_sanitised = message.description != state["description"]
    message.category_path.extend(state["category_path"])
    message.version = state["version"]
    message.published_version = state["published_version"]
    message.status = _STATUS_NUMBERS[state["status"]]
    message.specifications.SetInParent()
    _fill_struct(message.specifications, canonical_specifications(state["specifications"]))
    for image in state["images"]:
        message.images.add(**image)
    for step in state["price_breaks"]:
        message.price_breaks.add(**step)
    for name in ("price", "cost"):
        if state[name] is not None:
            getattr(message, name).CopyFrom(part_pb2.Money(**state[name]))
    for name in ("create_time", "update_time", "delete_time"):
        if state[name] is not None:
            getattr(message, name).FromDatetime(datetime.fromisoformat(state[name]))
    message.updated_by.CopyFrom(Actor(**state["updated_by"]))


def category_from_snapshot(state: dict[str, Any]) -> part_pb2.Category:
    """Return a category from a snapshot of the change log."""
    return part_pb2.Category(
        category_id=state["category_id"],
        parent_id=state["parent_id"],
        name=state["name"],
        path=state["path"],
        position=state["position"],
        version=state["version"],
    )
