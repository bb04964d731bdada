"""The business tables, for Piccolo's shell.

The service itself uses named statements: its reads return the revision of the same snapshot, its writes lock and write
sets of rows in one round trip. Piccolo has no composite keys: ``primary_key`` is the first column of the key.
"""

from piccolo.columns import UUID, BigInt, Boolean, Integer, Text, Timestamptz
from piccolo.table import Table

from chassis.database import TABLE_ENGINE


class Location(Table, tablename="location", db=TABLE_ENGINE):
    """A location of stock."""

    location_id = Text(primary_key=True, default=None)
    name = Text()
    archived_at = Timestamptz(null=True, default=None)
    version = BigInt()
    updated_at = Timestamptz()
    last_updated_by = UUID()
    last_updated_by_name = Text()
    source = Text()
    client_ip = Text()
    request_id = Text()
    traceparent = Text()


class StockLevel(Table, tablename="stock_level", db=TABLE_ENGINE):
    """The current balance of a part at a location; the key is (part_id, location_id)."""

    part_id = Text(primary_key=True, default=None)
    location_id = Text()
    on_hand = BigInt()
    reserved = BigInt()
    reorder_point = BigInt()
    version = BigInt(help_text="number of movements")
    updated_at = Timestamptz()
    last_updated_by = UUID()
    last_updated_by_name = Text()
    archived_at = Timestamptz(null=True, default=None)


class StockMovement(Table, tablename="stock_movement", db=TABLE_ENGINE):
    """A row of the append-only ledger; the key is (part_id, location_id, version)."""

    part_id = Text(primary_key=True, default=None)
    location_id = Text()
    version = BigInt(help_text="of the level after the movement")
    kind = Text()
    on_hand_delta = BigInt()
    reserved_delta = BigInt()
    on_hand_after = BigInt()
    reserved_after = BigInt()
    actor = UUID()
    actor_name = Text()
    source = Text()
    client_ip = Text()
    request_id = Text()
    traceparent = Text()
    reason = Text()
    reservation_id = UUID(null=True, default=None)
    reverses_version = BigInt(null=True, default=None)
    occurred_at = Timestamptz()


class Reservation(Table, tablename="reservation", db=TABLE_ENGINE):
    """Stock held for a customer or a guest until it is committed, released or expired."""

    reservation_id = UUID(primary_key=True, default=None)
    state = Text()
    owner = Text(help_text="id of a user, or the hash of a guest's key")
    owner_is_user = Boolean()
    order_reference = Text()
    line_count = Integer()
    created_at = Timestamptz()
    expires_at = Timestamptz()
    opened_from = Text()
    extensions = Integer()
    version = BigInt()
    updated_at = Timestamptz()
    last_updated_by = UUID()
    last_updated_by_name = Text()
    source = Text()
    client_ip = Text()
    request_id = Text()
    traceparent = Text()


class ReservationLine(Table, tablename="reservation_line", db=TABLE_ENGINE):
    """Units of one level in a reservation; the key is (reservation_id, position)."""

    reservation_id = UUID(primary_key=True, default=None)
    position = Integer()
    part_id = Text()
    location_id = Text()
    quantity = BigInt()


TABLES: tuple[type[Table], ...] = (Location, StockLevel, StockMovement, Reservation, ReservationLine)
