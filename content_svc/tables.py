"""The business tables, for Piccolo's shell.

The service itself uses named statements: its reads return the revision of the same snapshot, its writes lock and write
sets of rows in one round trip. Piccolo has no composite keys: ``primary_key`` is the first column of the key.
"""

from typing import Any

from piccolo.columns import JSONB, UUID, Array, BigInt, ForeignKey, Integer, SmallInt, Text, Timestamptz
from piccolo.table import Table

from chassis.database import TABLE_ENGINE


class Category(Table, tablename="category", db=TABLE_ENGINE):
    """A node of the tree of categories. Path, version, author and timestamps are set by triggers."""

    category_id = Text(primary_key=True, default=None)
    parent_id: ForeignKey[Any] = ForeignKey("self", null=True)
    name = Text()
    path = Array(base_column=Text())
    position = Integer(help_text="order among its siblings")
    version = BigInt()
    updated_by = UUID()
    created_at = Timestamptz()
    updated_at = Timestamptz()
    deleted_at = Timestamptz(null=True, default=None)


class Part(Table, tablename="part", db=TABLE_ENGINE):
    """The current content of a part. Version, author and timestamps are set by triggers; ``search`` is computed."""

    part_id = Text(primary_key=True, default=None)
    category_id: ForeignKey[Any] = ForeignKey(Category, null=False)
    title = Text()
    summary = Text()
    description = Text(help_text="sanitised HTML")
    specifications = JSONB()
    price_minor = BigInt(null=True, default=None, help_text="in the smallest unit of the currency")
    cost_minor = BigInt(null=True, default=None)
    currency = Text(null=True, default=None)
    price_breaks = JSONB()
    status = Text()
    mpn = Text(help_text="manufacturer's part number")
    manufacturer = Text()
    datasheet_url = Text()
    version = BigInt()
    published_version = BigInt(help_text="0: never published")
    publish_at = Timestamptz(null=True, default=None)
    updated_by = UUID()
    created_at = Timestamptz()
    updated_at = Timestamptz()
    deleted_at = Timestamptz(null=True, default=None)


class PartImage(Table, tablename="part_image", db=TABLE_ENGINE):
    """An image of a part; the key is (part_id, position)."""

    part_id = Text(primary_key=True, default=None)
    position = SmallInt(help_text="from 0, without gaps")
    url = Text()
    alt = Text()
    width = Integer()
    height = Integer()


class PartContentVersion(Table, tablename="part_version", db=TABLE_ENGINE):
    """A version of a part with its full snapshot, written by a trigger; the key is (part_id, version)."""

    part_id = Text(primary_key=True, default=None)
    version = BigInt()
    content_snapshot = JSONB()
    schema_number = Integer()
    author = UUID()
    comment = Text()
    rolled_back_to = BigInt(null=True, default=None)
    created_at = Timestamptz()


TABLES: tuple[type[Table], ...] = (Category, Part, PartImage, PartContentVersion)
