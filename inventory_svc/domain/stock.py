"""Entities of stock: levels, the movements that change them, and locations."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from chassis.errors import ConcurrencyError
from chassis.optimistic_locking import OptimisticLockingMixin

if TYPE_CHECKING:
    from datetime import datetime

LevelKey = tuple[str, str]  # part id, location id: the primary key of a level
SeenVersion = tuple[str, int]  # epoch of the log ("" = its first one) and version: a state that a caller saw

MAIN_LOCATION = "main"  # exists from the start
MAX_UNITS = 9_000_000_000_000_000  # below 2**53, so that a browser's number holds it exactly


class MovementKind(StrEnum):
    """Reason of a movement."""

    RECEIVED = "received"
    ADJUSTED = "adjusted"
    COUNTED = "counted"
    RESERVED = "reserved"
    RELEASED = "released"
    SHIPPED = "shipped"
    TRANSFERRED_IN = "transferred_in"
    TRANSFERRED_OUT = "transferred_out"
    REVERSED = "reversed"


@dataclass(frozen=True, slots=True)
class Origin:
    """Actor, address and request id of a change."""

    actor_id: str
    actor_name: str
    client_ip: str = ""
    request_id: str = ""
    traceparent: str = ""


# Levels and movements are values although not frozen: freezing costs 1.5 us each and batches make thousands a second.
@dataclass(slots=True)
class StockLevel(OptimisticLockingMixin):
    """The stock of one part at one location, as of its ``version``."""

    part_id: str
    location_id: str
    on_hand: int
    reserved: int
    reorder_point: int
    version: int
    updated_at: datetime
    last_updated_by: str
    last_updated_by_name: str
    archived_at: datetime | None = None

    @property
    def key(self) -> LevelKey:
        """Return the primary key."""
        return (self.part_id, self.location_id)

    @property
    def available_stock(self) -> int:
        """Return the units that are not reserved."""
        return self.on_hand - self.reserved

    @property
    def is_in_stock(self) -> bool:
        """Return whether units can be sold."""
        return self.on_hand > self.reserved

    @property
    def is_low_stock(self) -> bool:
        """Return whether the part must be reordered."""
        return self.on_hand - self.reserved <= self.reorder_point

    def version_conflict(self, expected: int) -> ConcurrencyError:
        """Return the error for a stale version, with the level and who changed it."""
        return ConcurrencyError(
            f"Version {expected} of the stock of {self.part_id} at {self.location_id} was expected, "
            f"but {self.version} is there now.",
            current=self,
            metadata={"expected_version": str(expected), **_present(self)},
        )


@dataclass(frozen=True, slots=True)
class PublicStock:
    """Public stock of a part: sums over its live levels, and the sum of all versions."""

    part_id: str
    available: int
    low_stock: bool
    version: int


def _present(level: StockLevel) -> dict[str, str]:
    """Return the metadata of a conflict: the current level, and who changed it."""
    return {
        "part_id": level.part_id,
        "location_id": level.location_id,
        "current_version": str(level.version),
        "changed_by": level.last_updated_by_name,
        "changed_at": level.updated_at.isoformat().replace("+00:00", "Z"),
    }


def none_matches(key: LevelKey, level: StockLevel | None, epochs: frozenset[str]) -> ConcurrencyError:
    """Return the error of a write whose ``If-Match`` does not contain the current state."""
    what, epoch = f"the stock of {key[0]} at {key[1]}", {"epoch": max(epochs, default="")}
    if level is None:
        message = f"No entity tag in If-Match matches: {what} does not exist."
        facts = {"part_id": key[0], "location_id": key[1], "current_version": "0"}
        return ConcurrencyError(message, metadata=facts | epoch)
    message = f"No entity tag in If-Match matches: {what} is at version {level.version}."
    return ConcurrencyError(message, current=level, metadata=_present(level) | epoch)


@dataclass(slots=True)
class Movement:
    """One accepted change of a level: a row of the ledger."""

    part_id: str
    location_id: str
    version: int
    kind: str
    on_hand_delta: int
    reserved_delta: int
    on_hand_after: int
    reserved_after: int
    origin: Origin
    reason: str
    occurred_at: datetime
    reservation_id: str | None = None
    reverses_version: int | None = None


@dataclass(frozen=True, slots=True)
class Location:
    """A location of stock."""

    location_id: str
    name: str
    archived_at: datetime | None = None
