"""A part of a catalogue file as the message that the content service takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from partstream.content.v1 import part_pb2

if TYPE_CHECKING:
    from cli.catalogue_import.row import CataloguePart

# What a file decides about a part that exists already. Staff's own fields - cost, summary, status - stay as they are.
IMPORTED_FIELDS = (
    "category_id",
    "title",
    "description",
    "specifications",
    "images",
    "price",
    "price_breaks",
    "mpn",
    "manufacturer",
    "datasheet_url",
)


def part_message(part: CataloguePart, category_id: str, currency: str) -> part_pb2.Part:
    """Answer the part as a published one in the given category, its prices in `currency`."""
    message = part_pb2.Part(
        part_id=part.sku,
        category_id=category_id,
        title=part.title,
        description=part.description,
        mpn=part.mpn,
        manufacturer=part.manufacturer,
        datasheet_url=part.datasheet,
        status=part_pb2.PART_STATUS_PUBLISHED,
    )
    message.specifications.update(part.specifications)
    if part.image:
        message.images.add(url=part.image, alt=part.title)
    if part.prices.minor is not None:
        message.price.amount_minor = part.prices.minor
        message.price.currency = currency
    for quantity, price in part.prices.breaks:
        message.price_breaks.add(from_quantity=quantity, unit_price=f"{price:f}")
    return message
