"""The tables as Piccolo sees them: declared without an engine, bound in the composition root.

Constraints, triggers and composite keys are SQL in ``migrations/schema.sql``; a test compares both with the database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from piccolo.columns import UUID, BigInt, Boolean, Bytea, Integer, Text, Timestamptz
from piccolo.table import Table

if TYPE_CHECKING:
    from piccolo.engine.base import Engine


class UserRow(Table, tablename="users"):
    """Somebody who has written here."""

    id = UUID(primary_key=True, default=None)
    username = Text()
    first_seen_at = Timestamptz()


class LocationRow(Table, tablename="location"):
    """A place that holds stock."""

    location_id = Text(primary_key=True, default=None)
    name = Text()
    archived_at = Timestamptz(null=True, default=None)
    version = BigInt(default=1)
    updated_at = Timestamptz()
    last_updated_by = UUID(default=None)
    last_updated_by_name = Text()
    source = Text()
    client_ip = Text(default="")
    request_id = Text(default="")
    traceparent = Text(default="")


class StockLevelRow(Table, tablename="stock_level"):
    """The running balance of a part at a location; the key is (part_id, location_id)."""

    part_id = Text(primary_key=True, default=None)
    location_id = Text()
    on_hand = BigInt(default=0)
    reserved = BigInt(default=0)
    reorder_point = BigInt(default=0)
    version = BigInt(default=1)
    updated_at = Timestamptz()
    last_updated_by = UUID(default=None)
    last_updated_by_name = Text()
    archived_at = Timestamptz(null=True, default=None)


class StockMovementRow(Table, tablename="stock_movement"):
    """A row of the ledger; the key is (part_id, location_id, version)."""

    part_id = Text(primary_key=True, default=None)
    location_id = Text()
    version = BigInt()
    kind = Text()
    on_hand_delta = BigInt()
    reserved_delta = BigInt()
    on_hand_after = BigInt()
    reserved_after = BigInt()
    actor = UUID(default=None)
    actor_name = Text()
    source = Text()
    client_ip = Text(default="")
    request_id = Text(default="")
    traceparent = Text(default="")
    reason = Text(default="")
    reservation_id = UUID(null=True, default=None)
    reverses_version = BigInt(null=True, default=None)
    occurred_at = Timestamptz()


class ReservationRow(Table, tablename="reservation"):
    """A hold of stock."""

    reservation_id = UUID(primary_key=True, default=None)
    state = Text(default="held")
    owner = Text(default="")
    owner_is_user = Boolean(default=False)
    order_reference = Text(default="")
    line_count = Integer()
    created_at = Timestamptz()
    expires_at = Timestamptz()
    opened_from = Text(default="")
    extensions = Integer(default=0)
    version = BigInt(default=1)
    updated_at = Timestamptz()
    last_updated_by = UUID(default=None)
    last_updated_by_name = Text()
    source = Text()
    client_ip = Text(default="")
    request_id = Text(default="")
    traceparent = Text(default="")


class ReservationLineRow(Table, tablename="reservation_line"):
    """Units held of one level; the key is (reservation_id, position)."""

    reservation_id = UUID(primary_key=True, default=None)
    position = Integer()
    part_id = Text()
    location_id = Text()
    quantity = BigInt()


class RequestRow(Table, tablename="request"):
    """A claimed request id and the stored response; the key is (principal, request_id)."""

    principal = Text(primary_key=True, default=None)
    request_id = UUID(default=None)
    body_hash = Bytea()
    response = Bytea(null=True, default=None)
    revision = BigInt(null=True, default=None)
    created_at = Timestamptz()


class PartVisibilityRow(Table, tablename="part_visibility"):
    """Whether a part is published, as of a revision of the content log."""

    part_id = Text(primary_key=True, default=None)
    published = Boolean()
    revision = BigInt()


class PartVisibilityPositionRow(Table, tablename="part_visibility_position"):
    """Up to where the content log is applied to ``part_visibility``."""

    only_row = Boolean(primary_key=True, default=True)
    epoch = UUID(default=None)
    revision = BigInt()


TABLES: tuple[type[Table], ...] = (
    UserRow,
    LocationRow,
    StockLevelRow,
    StockMovementRow,
    ReservationRow,
    ReservationLineRow,
    RequestRow,
    PartVisibilityRow,
    PartVisibilityPositionRow,
)


def bind(engine: Engine[Any]) -> None:
    """Give every table the engine that its queries run on."""
    for table in TABLES:
        table._meta.db = engine  # noqa: SLF001 - Piccolo's documented way to bind a table at run time
