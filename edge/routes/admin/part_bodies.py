"""Bodies of content writes, and their protobuf messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
from google.protobuf.field_mask_pb2 import FieldMask

from chassis.errors import FieldViolation
from edge.http.errors import RuleBroken
from edge.views.part import StatusName
from edge.views.stock import PartId
from edge.views.values import LARGEST_EXACT_INTEGER, Scalar
from partstream.content.v1 import part_pb2

# `.` and `..` are no names in an address: clients resolve them before they ask.
NewPartId = Annotated[
    str,
    msgspec.Meta(
        pattern="^(?![.]{1,2}$)[A-Za-z0-9._-]{1,64}$",
        max_length=64,
        description="1-64 of A-Z a-z 0-9 . _ -, but not . or ..",
    ),
]
CategoryId = Annotated[str, msgspec.Meta(pattern="^[a-z0-9-]{1,128}$", description="1-128 of a-z 0-9 -")]
Currency = Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$", description="ISO 4217")]
Address = Annotated[
    str,
    msgspec.Meta(min_length=1, max_length=2000, pattern="^(https://|/)", description="https, or a path of this site"),
]

STATUS_NUMBERS: Final[dict[StatusName, part_pb2.PartStatus.ValueType]] = {
    "draft": part_pb2.PART_STATUS_DRAFT,
    "published": part_pb2.PART_STATUS_PUBLISHED,
    "archived": part_pb2.PART_STATUS_ARCHIVED,
}

# Every field that a full PUT replaces, in the content service's words.
FULL_MASK: Final = (
    "category_id",
    "title",
    "summary",
    "description",
    "specifications",
    "images",
    "price",
    "price_breaks",
    "cost",
    "mpn",
    "manufacturer",
    "datasheet_url",
)


class MoneyIn(msgspec.Struct, forbid_unknown_fields=True):
    """An amount in the minor unit of a currency."""

    amount_minor: Annotated[int, msgspec.Meta(ge=0, le=9_000_000_000_000_000)]
    currency: Currency


class PriceBreakIn(msgspec.Struct, forbid_unknown_fields=True):
    """Exact unit price from a quantity on."""

    from_quantity: Annotated[int, msgspec.Meta(ge=1, le=9_000_000_000_000_000)]
    unit_price: Annotated[str, msgspec.Meta(pattern="^[0-9]{1,12}([.][0-9]{1,9})?$")]


class ImageIn(msgspec.Struct, forbid_unknown_fields=True):
    """One image; width and height 0 = unknown."""

    url: Address
    alt: Annotated[str, msgspec.Meta(max_length=500)] = ""
    width: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 0
    height: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 0


class PartContent(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The content of a part; an omitted field is empty."""

    title: Annotated[str, msgspec.Meta(min_length=1, max_length=300)]
    category_id: CategoryId
    summary: Annotated[str, msgspec.Meta(max_length=2000)] = ""
    description: Annotated[str, msgspec.Meta(max_length=100_000)] = ""
    specifications: Annotated[dict[str, Scalar], msgspec.Meta(max_length=200)] = {}
    images: Annotated[list[ImageIn], msgspec.Meta(max_length=20)] = []
    price: MoneyIn | None = None
    price_breaks: Annotated[list[PriceBreakIn], msgspec.Meta(max_length=50)] = []
    cost: MoneyIn | None = None
    mpn: Annotated[str, msgspec.Meta(max_length=200)] = ""
    manufacturer: Annotated[str, msgspec.Meta(max_length=200)] = ""
    datasheet_url: Annotated[str, msgspec.Meta(max_length=2000, pattern="^(https?://.*)?$")] = ""
    comment: Annotated[str, msgspec.Meta(max_length=500, description="note for the version")] = ""


class NewPart(PartContent, kw_only=True):
    """A part to create."""

    part_id: NewPartId
    status: StatusName = "draft"


class WholePart(PartContent, kw_only=True):
    """A part to replace. Without ``status`` the current one is kept; ``part_id`` may repeat that of the path."""

    part_id: PartId | None = None
    status: StatusName | None = None
    expected_version: Annotated[int, msgspec.Meta(ge=1, le=9_000_000_000_000_000)] | None = None


def part_message(part_id: str, content: PartContent, status: StatusName | None) -> part_pb2.Part:
    """Return the message of a body."""
    part = part_pb2.Part(
        part_id=part_id,
        category_id=content.category_id,
        title=content.title,
        summary=content.summary,
        description=content.description,
        images=[
            part_pb2.PartImage(url=image.url, alt=image.alt, width=image.width, height=image.height)
            for image in content.images
        ],
        price=_money(content.price),
        price_breaks=[
            part_pb2.PriceBreak(from_quantity=item.from_quantity, unit_price=item.unit_price)
            for item in content.price_breaks
        ],
        cost=_money(content.cost),
        mpn=content.mpn,
        manufacturer=content.manufacturer,
        datasheet_url=content.datasheet_url,
        status=STATUS_NUMBERS[status] if status else part_pb2.PART_STATUS_UNSPECIFIED,
    )
    part.specifications.update(_exact(content.specifications))
    return part


def _exact(specifications: Mapping[str, Scalar]) -> Mapping[str, Scalar]:
    """Raise ``RuleBroken`` for an integer that a double cannot represent: all numbers of specifications are doubles."""
    for name, value in specifications.items():
        if isinstance(value, int) and abs(value) > LARGEST_EXACT_INTEGER:
            message = f"is beyond {LARGEST_EXACT_INTEGER}, up to which numbers are exact: give it as text"
            detail = f"specifications.{name} {message}."
            raise RuleBroken(detail, fields=[FieldViolation(f"specifications.{name}", message)])
    return specifications


def full_mask(body: WholePart) -> FieldMask:
    """Return every field, and the status if it is given."""
    return FieldMask(paths=[*FULL_MASK, "status"] if body.status else list(FULL_MASK))


def _money(money: MoneyIn | None) -> part_pb2.Money | None:
    if money is None:
        return None
    return part_pb2.Money(amount_minor=money.amount_minor, currency=money.currency)
