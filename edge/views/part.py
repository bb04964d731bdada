"""Parts: the product page, the listing row, and the complete part for staff."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import msgspec

from edge.views.stock import StockSummary, stock_summary
from edge.views.values import Scalar, rfc3339, scalars
from partstream.content.v1 import part_pb2

if TYPE_CHECKING:
    from partstream.inventory.v1 import stock_pb2

StatusName = Literal["draft", "published", "archived"]

STATUS_NAMES: Final[dict[int, StatusName]] = {
    part_pb2.PART_STATUS_UNSPECIFIED: "draft",
    part_pb2.PART_STATUS_DRAFT: "draft",
    part_pb2.PART_STATUS_PUBLISHED: "published",
    part_pb2.PART_STATUS_ARCHIVED: "archived",
}


class Money(msgspec.Struct):
    """An amount in the minor unit of a currency."""

    amount_minor: int
    currency: str


class PriceBreak(msgspec.Struct):
    """Exact unit price from a quantity on, a decimal number in major units."""

    from_quantity: int
    unit_price: str


class Image(msgspec.Struct):
    """One picture; width and height 0 = unknown."""

    url: str
    alt: str
    width: int
    height: int


class CategoryRef(msgspec.Struct):
    """The category of a part; ``path`` has the names from the top down to it."""

    category_id: str
    name: str
    path: list[str]


class PartSummary(msgspec.Struct):
    """A part in a listing, and ``view=summary`` of the product page: enough for the first paint."""

    part_id: str
    title: str
    summary: str
    category: CategoryRef
    image: Image | None
    price: Money | None
    stock: StockSummary
    content_version: int


class PartPage(msgspec.Struct):
    """The product page."""

    part_id: str
    title: str
    summary: str
    description: str
    category: CategoryRef
    specifications: dict[str, Scalar]
    images: list[Image]
    price: Money | None
    price_breaks: list[PriceBreak]
    mpn: str
    manufacturer: str
    datasheet_url: str
    stock: StockSummary
    content_version: int
    updated_at: str | None


class PartFields(msgspec.Struct):
    """Some fields of a part: those that ``fields`` named."""

    part_id: str | msgspec.UnsetType = msgspec.UNSET
    title: str | msgspec.UnsetType = msgspec.UNSET
    summary: str | msgspec.UnsetType = msgspec.UNSET
    description: str | msgspec.UnsetType = msgspec.UNSET
    category: CategoryRef | msgspec.UnsetType = msgspec.UNSET
    specifications: dict[str, Scalar] | msgspec.UnsetType = msgspec.UNSET
    image: Image | msgspec.UnsetType | None = msgspec.UNSET
    images: list[Image] | msgspec.UnsetType = msgspec.UNSET
    price: Money | msgspec.UnsetType | None = msgspec.UNSET
    price_breaks: list[PriceBreak] | msgspec.UnsetType = msgspec.UNSET
    mpn: str | msgspec.UnsetType = msgspec.UNSET
    manufacturer: str | msgspec.UnsetType = msgspec.UNSET
    datasheet_url: str | msgspec.UnsetType = msgspec.UNSET
    stock: StockSummary | msgspec.UnsetType = msgspec.UNSET
    content_version: int | msgspec.UnsetType = msgspec.UNSET
    updated_at: str | msgspec.UnsetType | None = msgspec.UNSET


class PartList(msgspec.Struct):
    """A page of parts. The last page has an empty token; a page may be short of its size before that."""

    items: list[PartSummary]
    next_page_token: str


class PartFieldsList(msgspec.Struct):
    """The same with only the fields that were asked for."""

    items: list[PartFields]
    next_page_token: str


class StaffPart(msgspec.Struct):
    """A part as staff see it, drafts and cost included.

    With ``description_sanitised`` the stored description has HTML that is not safe to show; only the rest is here.
    """

    part_id: str
    title: str
    category_id: str
    category_path: list[str]
    summary: str
    description: str
    description_sanitised: bool
    specifications: dict[str, Scalar]
    images: list[Image]
    price: Money | None
    price_breaks: list[PriceBreak]
    cost: Money | None
    mpn: str
    manufacturer: str
    datasheet_url: str
    status: StatusName
    version: int
    published_version: int
    created_at: str | None
    updated_at: str | None
    updated_by: str | None
    deleted_at: str | None


class StaffPartList(msgspec.Struct):
    """A page of parts for staff."""

    items: list[StaffPart]
    next_page_token: str


def part_page(part: part_pb2.Part, stock: stock_pb2.PartStock) -> PartPage:
    """Return the product page, with content and stock."""
    return PartPage(
        part_id=part.part_id,
        title=part.title,
        summary=part.summary,
        description=part.description,
        category=_category(part),
        specifications=scalars(part.specifications),
        images=[_image(item) for item in part.images],
        price=_money(part, "price"),
        price_breaks=[PriceBreak(item.from_quantity, item.unit_price) for item in part.price_breaks],
        mpn=part.mpn,
        manufacturer=part.manufacturer,
        datasheet_url=part.datasheet_url,
        stock=stock_summary(stock),
        content_version=part.version,
        updated_at=rfc3339(part.update_time),
    )


def part_summary(part: part_pb2.Part, stock: stock_pb2.PartStock) -> PartSummary:
    """Return the listing row."""
    return PartSummary(
        part_id=part.part_id,
        title=part.title,
        summary=part.summary,
        category=_category(part),
        image=_image(part.images[0]) if part.images else None,
        price=_money(part, "price"),
        stock=stock_summary(stock),
        content_version=part.version,
    )


def staff_part(part: part_pb2.Part) -> StaffPart:
    """Return the complete part for staff."""
    return StaffPart(
        part_id=part.part_id,
        title=part.title,
        category_id=part.category_id,
        category_path=list(part.category_path),
        summary=part.summary,
        description=part.description,
        description_sanitised=part.description_sanitised,
        specifications=scalars(part.specifications),
        images=[_image(item) for item in part.images],
        price=_money(part, "price"),
        price_breaks=[PriceBreak(item.from_quantity, item.unit_price) for item in part.price_breaks],
        cost=_money(part, "cost"),
        mpn=part.mpn,
        manufacturer=part.manufacturer,
        datasheet_url=part.datasheet_url,
        status=STATUS_NAMES[part.status],
        version=part.version,
        published_version=part.published_version,
        created_at=rfc3339(part.create_time),
        updated_at=rfc3339(part.update_time),
        updated_by=part.updated_by.username or None,
        deleted_at=rfc3339(part.delete_time),
    )


def _category(part: part_pb2.Part) -> CategoryRef:
    path = list(part.category_path)
    return CategoryRef(part.category_id, path[-1] if path else part.category_id, path)


def _image(image: part_pb2.PartImage) -> Image:
    return Image(image.url, image.alt, image.width, image.height)


def _money(part: part_pb2.Part, field: Literal["price", "cost"]) -> Money | None:
    if not part.HasField(field):
        return None
    money = part.price if field == "price" else part.cost
    return Money(money.amount_minor, money.currency)
