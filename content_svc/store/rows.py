"""Rows as domain objects, and domain objects as the JSON argument of set-based writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from content_svc.domain.category import Category
from content_svc.domain.part import Author, Image, Money, Part, PartContent, PriceBreak
from content_svc.domain.part_rules import canonical_specifications

if TYPE_CHECKING:
    from collections.abc import Iterable

    import asyncpg

_decode = msgspec.json.decode


def part_from_row(row: asyncpg.Record) -> Part:
    """Return the part in a row of ``select_parts``, ``select_parts_after`` or ``select_page``."""
    return Part(
        part_id=row["part_id"],
        content=PartContent(
            category_id=row["category_id"],
            title=row["title"],
            summary=row["summary"],
            description=row["description"],
            specifications=canonical_specifications(_decode(row["specifications"])),
            images=tuple(Image(**image) for image in _decode(row["images"] or "[]")),
            price=_money(row["price_minor"], row["currency"]),
            price_breaks=tuple(PriceBreak(**step) for step in _decode(row["price_breaks"])),
            cost=_money(row["cost_minor"], row["currency"]),
            status=row["status"],
            mpn=row["mpn"],
            manufacturer=row["manufacturer"],
            datasheet_url=row["datasheet_url"],
        ),
        version=row["version"],
        published_version=row["published_version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        updated_by=Author(str(row["updated_by"]), row["username"]),
        deleted_at=row["deleted_at"],
        category_path=tuple(row["category_path"]),
    )


def _money(amount_minor: int | None, currency: str | None) -> Money | None:
    return None if amount_minor is None or currency is None else Money(amount_minor, currency)


def category_from_row(row: asyncpg.Record) -> Category:
    """Return the category in a row of ``select_categories`` or ``insert_category``."""
    return Category(
        category_id=row["category_id"],
        parent_id=row["parent_id"],
        name=row["name"],
        path=tuple(row["path"]),
        position=row["position"],
        version=row["version"],
        part_count=row["part_count"],
    )


def parts_json(parts: Iterable[tuple[str, PartContent]]) -> str:
    """Return the argument of ``insert_parts`` and ``update_parts``."""
    return msgspec.json.encode([_part_row(part_id, content) for part_id, content in parts]).decode()


def _part_row(part_id: str, content: PartContent) -> dict[str, Any]:
    money = content.price or content.cost
    return {
        "part_id": part_id,
        "category_id": content.category_id,
        "title": content.title,
        "summary": content.summary,
        "description": content.description,
        "specifications": content.specifications,
        "price_minor": content.price.amount_minor if content.price else None,
        "cost_minor": content.cost.amount_minor if content.cost else None,
        "currency": money.currency if money else None,
        "price_breaks": content.price_breaks,
        "status": content.status or "draft",
        "mpn": content.mpn,
        "manufacturer": content.manufacturer,
        "datasheet_url": content.datasheet_url,
    }


def images_json(parts: Iterable[tuple[str, PartContent]]) -> str:
    """Return the argument of ``insert_images``."""
    rows = [
        {
            "part_id": part_id,
            "position": position,
            "url": image.url,
            "alt": image.alt,
            "width": image.width,
            "height": image.height,
        }
        for part_id, content in parts
        for position, image in enumerate(content.images)
    ]
    return msgspec.json.encode(rows).decode()
