"""Errors of the inventory service, and the error that each constraint of its database means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chassis.constraint_errors import ConstraintError
from chassis.errors import AlreadyExists, FailedPrecondition, FieldInvalid, HasDependents, IllegalState, NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping


class PartNotFound(NotFound):
    """The part does not exist, or is not visible to the caller."""

    reason = "PART_NOT_FOUND"


class LocationNotFound(NotFound):
    """The location does not exist."""

    reason = "LOCATION_NOT_FOUND"


class ReservationNotFound(NotFound):
    """The reservation does not exist, or belongs to another owner."""

    reason = "RESERVATION_NOT_FOUND"


class MovementNotFound(NotFound):
    """The movement does not exist."""

    reason = "MOVEMENT_NOT_FOUND"


class LocationExists(AlreadyExists):
    """A location with this id exists."""

    reason = "LOCATION_EXISTS"


class InsufficientStock(FailedPrecondition):
    """Fewer units are available than requested."""

    reason = "INSUFFICIENT_STOCK"


class PartArchived(FailedPrecondition):
    """The part or its stock level is archived."""

    reason = "PART_ARCHIVED"


class LocationArchived(FailedPrecondition):
    """The location is archived."""

    reason = "LOCATION_ARCHIVED"


class ReservationNotHeld(FailedPrecondition):
    """The reservation is committed, released or expired."""

    reason = "RESERVATION_NOT_HELD"


class ReservationLimit(FailedPrecondition):
    """The cart or its address has as many reservations as it may have."""

    reason = "RESERVATION_LIMIT"


class MovementNotReversible(FailedPrecondition):
    """The movement cannot be reversed; metadata `cause` says why."""

    reason = "MOVEMENT_NOT_REVERSIBLE"


# The errors of constraints that a request can violate although the rules accepted it.
CONSTRAINTS: Final[Mapping[str, ConstraintError]] = {
    "on_hand_not_negative": ConstraintError(InsufficientStock, "There is not enough stock."),
    "reserved_within_on_hand": ConstraintError(InsufficientStock, "There is not enough unreserved stock."),
    "movement_leaves_sound_balance": ConstraintError(InsufficientStock, "There is not enough unreserved stock."),
    "on_hand_within_range": ConstraintError(FieldInvalid, "The number of units is out of range."),
    "reorder_point_not_negative": ConstraintError(FieldInvalid, "The reorder point must not be negative."),
    "part_id_well_formed": ConstraintError(FieldInvalid, "The part id is malformed."),
    "location_id_well_formed": ConstraintError(FieldInvalid, "The location id is malformed."),
    "location_name_length": ConstraintError(FieldInvalid, "The name of the location is too long or empty."),
    "movement_is_explained": ConstraintError(FieldInvalid, "An adjustment requires a reason."),
    "reservation_has_lines": ConstraintError(FieldInvalid, "A reservation requires lines."),
    "line_quantity_positive": ConstraintError(FieldInvalid, "The quantity of a line must be positive."),
    "reservation_ends_after_it_begins": ConstraintError(FieldInvalid, "A reservation must expire after its creation."),
    "archived_level_holds_no_reservation": ConstraintError(
        IllegalState, "Units are still reserved. Release them before archiving the level."
    ),
    "archived_level_does_not_move": ConstraintError(PartArchived, "The level is archived."),
    "stock_level_location_exists": ConstraintError(LocationNotFound, "The location does not exist."),
    "line_level_exists": ConstraintError(PartNotFound, "A line names a stock level that does not exist."),
    "stock_lies_at_live_locations": ConstraintError(LocationArchived, "The location is archived."),
    "archived_location_holds_no_stock": ConstraintError(
        HasDependents, "The location still holds stock. Transfer it before archiving the location."
    ),
    "location_pkey": ConstraintError(LocationExists, "A location with this id exists."),
    "movement_reversed_once": ConstraintError(
        MovementNotReversible, "The movement is already reversed.", metadata={"cause": "already_reversed"}
    ),
    "reservation_state_follows_its_life": ConstraintError(ReservationNotHeld, "The reservation is no longer held."),
}
