"""Commands: the writes that callers request, as data. The rules accept or reject them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from inventory_svc.domain.stock import MovementKind

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from inventory_svc.domain.guest_limits import GuestLimits
    from inventory_svc.domain.reservation import Owner, ReservationLine
    from inventory_svc.domain.stock import LevelKey, Movement, SeenVersion


@dataclass(slots=True)
class Needs:
    """The rows that a decision requires, which are locked and read before it."""

    levels: Sequence[LevelKey] = ()
    parts: Sequence[str] = ()  # every level of these
    reservations: Sequence[str] = ()  # with every level of their lines
    locations: Sequence[str] = ()
    all_overdue: bool = False  # every overdue reservation, not only those of these parts
    guests: Sequence[str] = ()  # carts and addresses whose open reservations are counted
    counted_parts: Sequence[str] = ()  # parts whose units reserved by those guests are summed
    published: Sequence[str] | None = None  # which of these parts, and of those reserved, are published; None = any
    epoch: bool = False  # the epoch of the log


@dataclass(slots=True)
class SetStock:
    """Set the counted number of units of a level, or create it."""

    key: LevelKey
    on_hand: int
    expected_version: int | None
    unconditional: bool
    allow_missing: bool
    reason: str
    if_match: frozenset[SeenVersion] | None = None  # the accepted current states

    def needs(self) -> Needs:
        """Return the level and its location."""
        return Needs(levels=(self.key,), locations=(self.key[1],), epoch=self.if_match is not None)


@dataclass(slots=True)
class AdjustStock:
    """Change a level by a difference."""

    key: LevelKey
    delta: int
    kind: MovementKind
    reason: str
    expected_version: int | None = None
    expected_on_hand: int | None = None
    allow_missing: bool = False
    if_match: frozenset[SeenVersion] | None = None  # the accepted current states

    def needs(self) -> Needs:
        """Return the level."""
        return Needs(levels=(self.key,), epoch=self.if_match is not None)


@dataclass(slots=True)
class BatchAdjust:
    """Adjust many levels, in order; ``atomic`` means all or none."""

    adjustments: Sequence[AdjustStock]
    atomic: bool

    def needs(self) -> Needs:
        """Return every level, and the locations of those that may be created."""
        return Needs(
            levels=[item.key for item in self.adjustments],
            locations=sorted({item.key[1] for item in self.adjustments if item.allow_missing}),
        )


@dataclass(frozen=True, slots=True)
class TransferStock:
    """Move units of a part between two locations."""

    part_id: str
    from_location_id: str
    to_location_id: str
    quantity: int
    expected_version: int | None
    reason: str

    def needs(self) -> Needs:
        """Return both levels and both locations."""
        locations = (self.from_location_id, self.to_location_id)
        return Needs(levels=[(self.part_id, location) for location in locations], locations=locations)


@dataclass(frozen=True, slots=True)
class ArchiveStock:
    """Archive a level."""

    key: LevelKey
    expected_version: int | None
    reason: str
    if_match: frozenset[SeenVersion] | None = None  # the accepted current states

    def needs(self) -> Needs:
        """Return the level."""
        return Needs(levels=(self.key,), epoch=self.if_match is not None)


@dataclass(frozen=True, slots=True)
class RestoreStock:
    """Restore an archived level."""

    key: LevelKey
    expected_version: int | None
    reason: str
    if_match: frozenset[SeenVersion] | None = None  # the accepted current states

    def needs(self) -> Needs:
        """Return the level and its location, which must not be archived."""
        return Needs(levels=(self.key,), locations=(self.key[1],), epoch=self.if_match is not None)


@dataclass(frozen=True, slots=True)
class SetReorderPoint:
    """Set the number of units at which a level counts as low."""

    key: LevelKey
    reorder_point: int
    expected_version: int | None
    if_match: frozenset[SeenVersion] | None = None  # the accepted current states

    def needs(self) -> Needs:
        """Return the level."""
        return Needs(levels=(self.key,), epoch=self.if_match is not None)


@dataclass(frozen=True, slots=True)
class ReverseMovement:
    """Reverse a movement by a compensating one. The ledger never changes, so the movement is read beforehand."""

    movement: Movement
    reason: str

    def needs(self) -> Needs:
        """Return the level of the movement."""
        return Needs(levels=((self.movement.part_id, self.movement.location_id),))


@dataclass(frozen=True, slots=True)
class CreateReservation:
    """Reserve all lines or none. ``replaces`` is a reservation of the same owner that is released in the same step."""

    reservation_id: str
    lines: Sequence[ReservationLine]
    ttl: timedelta
    owner: Owner
    order_reference: str
    replaces: str | None
    may_act_for_others: bool
    opened_from: str = ""
    limits: GuestLimits | None = None  # of a guest's cart
    only_published: bool = False  # for the public, other parts do not exist

    def needs(self) -> Needs:
        """Return the levels, every level of the parts without a location, and the replaced reservation."""
        return Needs(
            levels=[line.key for line in self.lines if line.location_id],
            parts=[line.part_id for line in self.lines if not line.location_id],
            reservations=[self.replaces] if self.replaces else (),
            locations=[line.location_id for line in self.lines if line.location_id],
            guests=[guest for guest in (self.owner.identifier, self.opened_from) if guest] if self.limits else (),
            counted_parts=self.limits.counted_parts(self.lines) if self.limits else (),
            published=[line.part_id for line in self.lines] if self.only_published else None,
        )


@dataclass(frozen=True, slots=True)
class ExtendReservation:
    """Set a new expiry of a reservation."""

    reservation_id: str
    ttl: timedelta
    owner: Owner
    may_act_for_others: bool
    limits: GuestLimits | None = None  # of a guest's cart
    only_published: bool = False

    def needs(self) -> Needs:
        """Return the reservation."""
        return Needs(reservations=(self.reservation_id,), published=() if self.only_published else None)


@dataclass(frozen=True, slots=True)
class CommitReservation:
    """Ship the units of a reservation."""

    reservation_id: str
    owner: Owner
    may_act_for_others: bool
    only_published: bool = False

    def needs(self) -> Needs:
        """Return the reservation."""
        return Needs(reservations=(self.reservation_id,), published=() if self.only_published else None)


@dataclass(frozen=True, slots=True)
class ReleaseReservation:
    """Release the units of a reservation."""

    reservation_id: str
    owner: Owner
    may_act_for_others: bool

    def needs(self) -> Needs:
        """Return the reservation."""
        return Needs(reservations=(self.reservation_id,))


@dataclass(frozen=True, slots=True)
class TakeOverCart:
    """Move the held reservations of a guest's cart to the account of a caller who has the key of the cart."""

    reservation_ids: Sequence[str]
    cart: Owner
    account: Owner

    def needs(self) -> Needs:
        """Return the reservations of the cart."""
        return Needs(reservations=self.reservation_ids)


@dataclass(frozen=True, slots=True)
class ExpireOverdue:
    """Expire the overdue reservations. The service itself submits it."""

    def needs(self) -> Needs:
        """Return the need of every overdue reservation."""
        return Needs(all_overdue=True)


@dataclass(frozen=True, slots=True)
class CreateLocation:
    """Create a location."""

    location_id: str
    name: str

    def needs(self) -> Needs:
        """Return the location, which must not exist."""
        return Needs(locations=(self.location_id,))


@dataclass(frozen=True, slots=True)
class ArchiveLocation:
    """Archive a location. The database rejects it while the location has stock."""

    location_id: str

    def needs(self) -> Needs:
        """Return the location."""
        return Needs(locations=(self.location_id,))


Command = (
    SetStock
    | AdjustStock
    | BatchAdjust
    | TransferStock
    | ArchiveStock
    | RestoreStock
    | SetReorderPoint
    | ReverseMovement
    | CreateReservation
    | ExtendReservation
    | CommitReservation
    | ReleaseReservation
    | TakeOverCart
    | ExpireOverdue
    | CreateLocation
    | ArchiveLocation
)
