"""What the database's refusals mean: the name of a constraint is the rule, each rule is an error."""

from __future__ import annotations

from chassis.errors import (
    FieldInvalid,
    HasDependents,
    IllegalState,
    InsufficientStock,
    InternalFault,
    LocationArchived,
    LocationExists,
    LocationNotFound,
    MovementNotReversible,
    PartArchived,
    PartNotFound,
    PartstreamError,
    ReservationNotHeld,
)

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
