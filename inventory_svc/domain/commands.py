"""What callers want done, as data. The rules decide whether it may be."""

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
    """What a decision must see, so that it can be locked and read first."""

    levels: Sequence[LevelKey] = ()
    parts: Sequence[str] = ()  # every level of these
    reservations: Sequence[str] = ()  # with every level of their lines
    locations: Sequence[str] = ()
    all_overdue: bool = False  # every hold whose time is over, not only those on the parts named
    guests: Sequence[str] = ()  # carts and addresses whose open reservations are counted
    counted_parts: Sequence[str] = ()  # parts of which the units that those guests hold are added up
    published: Sequence[str] | None = None  # which of these parts, and of those reserved, are published; None = any
    epoch: bool = False  # the epoch of the log


@dataclass(slots=True)
class SetStock:
    """Set the counted number of a level, or create it."""

    key: LevelKey
    on_hand: int
    expected_version: int | None
    unconditional: bool
    allow_missing: bool
    reason: str
    if_match: frozenset[SeenVersion] | None = None  # states of which one must be the present one

    def needs(self) -> Needs:
        """The level and its location."""
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
    if_match: frozenset[SeenVersion] | None = None  # states of which one must be the present one

    def needs(self) -> Needs:
        """The level."""
        return Needs(levels=(self.key,), epoch=self.if_match is not None)


@dataclass(slots=True)
class BatchAdjust:
    """Adjust many levels, in order; ``atomic`` means all or none."""

    adjustments: Sequence[AdjustStock]
    atomic: bool

    def needs(self) -> Needs:
        """Every level named, and the locations of those that may be made."""
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
        """Both levels and both locations."""
        locations = (self.from_location_id, self.to_location_id)
        return Needs(levels=[(self.part_id, location) for location in locations], locations=locations)


@dataclass(frozen=True, slots=True)
class ArchiveStock:
    """Take a level out of use."""

    key: LevelKey
    expected_version: int | None
    reason: str
    if_match: frozenset[SeenVersion] | None = None  # states of which one must be the present one

    def needs(self) -> Needs:
        """The level."""
        return Needs(levels=(self.key,), epoch=self.if_match is not None)


@dataclass(frozen=True, slots=True)
class RestoreStock:
    """Take an archived level back into use."""

    key: LevelKey
    expected_version: int | None
    reason: str
    if_match: frozenset[SeenVersion] | None = None  # states of which one must be the present one

    def needs(self) -> Needs:
        """The level and its location, which must be live."""
        return Needs(levels=(self.key,), locations=(self.key[1],), epoch=self.if_match is not None)


@dataclass(frozen=True, slots=True)
class SetReorderPoint:
    """Set when a level counts as low."""

    key: LevelKey
    reorder_point: int
    expected_version: int | None
    if_match: frozenset[SeenVersion] | None = None  # states of which one must be the present one

    def needs(self) -> Needs:
        """The level."""
        return Needs(levels=(self.key,), epoch=self.if_match is not None)


@dataclass(frozen=True, slots=True)
class ReverseMovement:
    """Undo a movement by a compensating one. The ledger never changes, so the movement is read beforehand."""

    movement: Movement
    reason: str

    def needs(self) -> Needs:
        """The level that moved."""
        return Needs(levels=((self.movement.part_id, self.movement.location_id),))


@dataclass(frozen=True, slots=True)
class CreateReservation:
    """Hold stock: all lines or none. ``replaces`` names a hold of the same owner that ends in the same step."""

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
        """The levels named; every level of the parts whose location is to be chosen; the hold that is replaced."""
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
    """Give a hold a new end."""

    reservation_id: str
    ttl: timedelta
    owner: Owner
    may_act_for_others: bool
    limits: GuestLimits | None = None  # of a guest's cart
    only_published: bool = False

    def needs(self) -> Needs:
        """The hold."""
        return Needs(reservations=(self.reservation_id,), published=() if self.only_published else None)


@dataclass(frozen=True, slots=True)
class CommitReservation:
    """Ship what is held."""

    reservation_id: str
    owner: Owner
    may_act_for_others: bool
    only_published: bool = False

    def needs(self) -> Needs:
        """The hold."""
        return Needs(reservations=(self.reservation_id,), published=() if self.only_published else None)


@dataclass(frozen=True, slots=True)
class ReleaseReservation:
    """Give back what is held."""

    reservation_id: str
    owner: Owner
    may_act_for_others: bool

    def needs(self) -> Needs:
        """The hold."""
        return Needs(reservations=(self.reservation_id,))


@dataclass(frozen=True, slots=True)
class TakeOverCart:
    """Move the held reservations of a guest's cart to the account of a caller who has the key of the cart."""

    reservation_ids: Sequence[str]
    cart: Owner
    account: Owner

    def needs(self) -> Needs:
        """The reservations of the cart."""
        return Needs(reservations=self.reservation_ids)


@dataclass(frozen=True, slots=True)
class ExpireOverdue:
    """End the holds whose time is over; asked by the service itself."""

    def needs(self) -> Needs:
        """Every overdue hold."""
        return Needs(all_overdue=True)


@dataclass(frozen=True, slots=True)
class CreateLocation:
    """Add a place that holds stock."""

    location_id: str
    name: str

    def needs(self) -> Needs:
        """The location, which must not exist."""
        return Needs(locations=(self.location_id,))


@dataclass(frozen=True, slots=True)
class ArchiveLocation:
    """Take a location out of use; the database refuses while it holds stock."""

    location_id: str

    def needs(self) -> Needs:
        """The location."""
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
