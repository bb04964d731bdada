"""Errors of the inventory service, and the error that each constraint of its database means."""

from __future__ import annotations

from chassis.errors import (
    AlreadyExists,
    FailedPrecondition,
    FieldInvalid,
    HasDependents,
    IllegalState,
    InternalFault,
    NotFound,
    PartstreamError,
)


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


# Rules that a caller can break although the Python rules let the request through.
_MEANING: dict[str, type[PartstreamError]] = {
    "on_hand_not_negative": InsufficientStock,
    "reserved_within_on_hand": InsufficientStock,
    "movement_leaves_sound_balance": InsufficientStock,
    "on_hand_within_range": FieldInvalid,
    "reorder_point_not_negative": FieldInvalid,
    "part_id_well_formed": FieldInvalid,
    "location_id_well_formed": FieldInvalid,
    "location_name_length": FieldInvalid,
    "movement_is_explained": FieldInvalid,
    "reservation_has_lines": FieldInvalid,
    "line_quantity_positive": FieldInvalid,
    "reservation_ends_after_it_begins": FieldInvalid,
    "archived_level_holds_no_reservation": IllegalState,
    "archived_level_does_not_move": PartArchived,
    "stock_level_location_exists": LocationNotFound,
    "line_level_exists": PartNotFound,
    "stock_lies_at_live_locations": LocationArchived,
    "archived_location_holds_no_stock": HasDependents,
    "location_pkey": LocationExists,
    "movement_reversed_once": MovementNotReversible,
    "reservation_state_follows_its_life": ReservationNotHeld,
}

# What a caller is told; the database's own words stay in the log of the server.
_WORDS: dict[str, str] = {
    "on_hand_not_negative": "There is not enough stock.",
    "reserved_within_on_hand": "There is not enough stock that nobody has reserved.",
    "movement_leaves_sound_balance": "There is not enough stock that nobody has reserved.",
    "archived_level_holds_no_reservation": "Units are still reserved: release them before the level is archived.",
    "archived_level_does_not_move": "The level is archived.",
    "stock_lies_at_live_locations": "The location is archived.",
    "archived_location_holds_no_stock": "The location still holds stock: move it elsewhere first.",
    "movement_reversed_once": "The movement was reversed before.",
    "reservation_state_follows_its_life": "The reservation is no longer held.",
}

_METADATA: dict[str, dict[str, str]] = {"movement_reversed_once": {"cause": "already_reversed"}}


def explain_refusal(constraint: str | None) -> PartstreamError:
    """The error behind a constraint's name; one that no caller can break is a fault of ours."""
    name = constraint or ""
    meaning = _MEANING.get(name)
    if meaning is None:
        return InternalFault("The database refused what the service decided.", metadata={"rule": name})
    words = _WORDS.get(name, f"The rule {name} is broken.")
    return meaning(words, metadata={"rule": name, **_METADATA.get(name, {})})


def known_rules() -> frozenset[str]:
    """Every constraint that has a meaning for callers."""
    return frozenset(_MEANING)
