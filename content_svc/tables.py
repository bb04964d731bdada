"""The tables, as Piccolo sees them; their rules and triggers are in `sql/schema_*`. Bound to an engine by `app`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from piccolo.columns import UUID, BigInt, Bytea, Column, ForeignKey, Integer, SmallInt, Text, Timestamptz
from piccolo.columns.column_types import JSONB, Array
from piccolo.table import Table

if TYPE_CHECKING:
    from piccolo.engine.postgres import PostgresEngine


class TsVector(Column):
    """PostgreSQL's ``tsvector``; computed by the database, never written."""

    value_type = str

    @property
    def column_type(self) -> str:
        """The name PostgreSQL uses."""
        return "TSVECTOR"


class User(Table, tablename="users"):
    """Whoever has written here: a person, a service account or a database role."""

    id = UUID(primary_key=True, default=None)
    username = Text(default=None)


class Request(Table, tablename="request"):
    """A request id that was claimed, with the stored response; the key is (principal, request_id)."""

    principal = Text(primary_key=True, default=None)
    request_id = UUID(default=None)
    body_hash = Bytea(default=None)
    response = Bytea(null=True, default=None)
    created_at = Timestamptz()


class Category(Table, tablename="category"):
    """A place in the tree of parts. Path, version, author and times are kept by triggers."""

    category_id = Text(primary_key=True, default=None)
    parent_id: ForeignKey[Any] = ForeignKey("self", null=True)
    name = Text(default=None)
    path = Array(base_column=Text())
    position = Integer(default=0)
    version = BigInt(default=1)
    updated_by = ForeignKey(User, null=False)
    created_at = Timestamptz()
    updated_at = Timestamptz()
    deleted_at = Timestamptz(null=True, default=None)


class Part(Table, tablename="part"):
    """What a part says now. Version, author and times are kept by triggers."""

    part_id = Text(primary_key=True, default=None)
    category_id = ForeignKey(Category, null=False)
    title = Text(default=None)
    summary = Text(default="")
    description = Text(default="")
    specifications = JSONB(default="{}")
    price_minor = BigInt(null=True, default=None)
    cost_minor = BigInt(null=True, default=None)
    currency = Text(null=True, default=None)
    price_breaks = JSONB(default="[]")
    status = Text(default="draft")
    mpn = Text(default="")
    manufacturer = Text(default="")
    datasheet_url = Text(default="")
    version = BigInt(default=1)
    published_version = BigInt(default=0)
    publish_at = Timestamptz(null=True, default=None)
    updated_by = ForeignKey(User, null=False)
    created_at = Timestamptz()
    updated_at = Timestamptz()
    deleted_at = Timestamptz(null=True, default=None)
    search = TsVector(null=True)


class PartImage(Table, tablename="part_image"):
    """One picture of a part; position counts from 0 without gaps. The key is (part_id, position)."""

    part_id = Text(primary_key=True, default=None)
    position = SmallInt(default=None)
    url = Text(default=None)
    alt = Text(default="")
    width = Integer(default=0)
    height = Integer(default=0)


class PartContentVersion(Table, tablename="part_version"):
    """A version of a part with its full snapshot. Written by a trigger only. The key is (part_id, version)."""

    part_id = Text(primary_key=True, default=None)
    version = BigInt(default=None)
    content_snapshot = JSONB()
    schema_number = Integer(default=None)
    author = ForeignKey(User, null=False)
    comment = Text(default="")
    rolled_back_to = BigInt(null=True, default=None)
    created_at = Timestamptz()


TABLES: tuple[type[Table], ...] = (User, Request, Category, Part, PartImage, PartContentVersion)


def bind(engine: PostgresEngine) -> None:
    """Let the tables use an engine. Called once, by the composition root."""
    for table in TABLES:
        table._meta._db = engine  # noqa: SLF001 - Piccolo has no public setter
