"""A part of a catalogue file as the message that the content service takes, and which of its fields a row decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.field_mask_pb2 import FieldMask

from partstream.content.v1 import part_pb2

if TYPE_CHECKING:
    from cli.catalogue_import.row import CataloguePart

# Which fields a key of the file decides. Staff's own fields - cost, summary, status - are decided by none.
FIELDS_OF = {
    "category": ("category_id",),
    "title": ("title",),
    "description": ("description",),
    "specs": ("specifications",),
    "image": ("images",),
    "prices": ("price", "price_breaks"),
    "mpn": ("mpn",),
    "manufacturer": ("manufacturer",),
    "datasheet": ("datasheet_url",),
}
NEVER_EMPTY = frozenset({"category", "title"})


def decided_keys(part: CataloguePart, *, clear_empty: bool) -> list[str]:
    """Return the keys of a row that decide about a part that exists: those with a value, on request also empty ones."""
    keys = part.given | (part.emptied - NEVER_EMPTY if clear_empty else frozenset())
    return [key for key in FIELDS_OF if key in keys]


def update_mask(part: CataloguePart, *, clear_empty: bool) -> FieldMask:
    """Return the fields to change in a part that exists; without paths none."""
    return FieldMask(paths=[path for key in decided_keys(part, clear_empty=clear_empty) for path in FIELDS_OF[key]])


def part_message(part: CataloguePart, category_id: str, currency: str, title: str = "") -> part_pb2.Part:
    """Return the part as a published one in the given category, its prices in `currency`.

    `title` is that of the part that exists, where the row has none.
    """
    message = part_pb2.Part(
        part_id=part.sku,
        category_id=category_id,
        title=title or part.title,
        description=part.description,
        mpn=part.mpn,
        manufacturer=part.manufacturer,
        datasheet_url=part.datasheet,
        status=part_pb2.PART_STATUS_PUBLISHED,
    )
    message.specifications.update(part.specifications)
    if part.image:
        message.images.add(url=part.image, alt=message.title)
    if part.prices.minor is not None:
        message.price.amount_minor = part.prices.minor
        message.price.currency = currency
    for quantity, price in part.prices.breaks:
        message.price_breaks.add(from_quantity=quantity, unit_price=f"{price:f}")
    return message
