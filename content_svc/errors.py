"""Errors of the content service, and the error that each constraint of its database means.

The rules of ``domain`` come first; a constraint only speaks after a race, or for a rule that only the database has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chassis.errors import (
    AlreadyExists,
    FailedPrecondition,
    FieldInvalid,
    FieldViolation,
    HasDependents,
    IllegalState,
    InternalFault,
    NotFound,
    PartstreamError,
)

if TYPE_CHECKING:
    import asyncpg


class PartNotFound(NotFound):
    """The part does not exist, or is not visible to the caller."""

    reason = "PART_NOT_FOUND"


class CategoryNotFound(NotFound):
    """The category does not exist."""

    reason = "CATEGORY_NOT_FOUND"


class PartExists(AlreadyExists):
    """A part with this id exists, possibly deleted."""

    reason = "PART_EXISTS"


class CategoryExists(AlreadyExists):
    """A category with this id exists, possibly deleted."""

    reason = "CATEGORY_EXISTS"


class PartArchived(FailedPrecondition):
    """The part is archived."""

    reason = "PART_ARCHIVED"


# Constraints that speak of one field: its path in the request, and what is wrong.
FIELDS = {
    "part_id_form": ("part.part_id", "must be 1-64 of A-Z a-z 0-9 . _ -"),
    "part_category_exists": ("part.category_id", "names no category"),
    "title_length": ("part.title", "must have 1-300 characters"),
    "summary_length": ("part.summary", "must have at most 2000 characters"),
    "description_length": ("part.description", "must have at most 100000 characters"),
    "specifications_are_scalars": ("part.specifications", "must be at most 200 texts, numbers and booleans"),
    "price_not_negative": ("part.price.amount_minor", "must not be negative"),
    "cost_not_negative": ("part.cost.amount_minor", "must not be negative"),
    "currency_code": ("part.price.currency", "must be three capital letters"),
    "money_has_currency": ("part.price.currency", "must be given"),
    "price_breaks_rise": ("part.price_breaks", "must be at most 50 and rise in quantity"),
    "price_breaks_have_price": ("part.price_breaks", "need a price"),
    "status_known": ("part.status", "is unknown"),
    "mpn_length": ("part.mpn", "must have at most 200 characters"),
    "manufacturer_length": ("part.manufacturer", "must have at most 200 characters"),
    "datasheet_url_form": ("part.datasheet_url", "must be an http or https address"),
    "images_at_most_20": ("part.images", "must be at most 20"),
    "image_url_form": ("part.images", "must be https addresses or paths on this site"),
    "image_alt_length": ("part.images", "must have texts of at most 500 characters"),
    "image_width_not_negative": ("part.images", "must not have a negative width"),
    "image_height_not_negative": ("part.images", "must not have a negative height"),
    "image_positions_dense": ("part.images", "must not leave out a position"),
    "category_id_form": ("category.category_id", "must be 1-128 of a-z 0-9 -"),
    "category_parent_exists": ("category.parent_id", "names no category"),
    "category_name_length": ("category.name", "must have 1-200 characters"),
    "category_depth_within_16": ("category.parent_id", "is too deep in the tree: 16 levels at most"),
    "category_no_cycle": ("category.parent_id", "is the category itself or below it"),
}

# Constraints that speak of a state.
STATES: dict[str, tuple[type[PartstreamError], str]] = {
    "part_pkey": (PartExists, "A part with this id exists."),
    "category_pkey": (CategoryExists, "A category with this id exists."),
    "category_has_dependents": (HasDependents, "The category still holds parts or categories."),
    "part_id_immutable": (IllegalState, "A part keeps its identifier."),
    "category_id_immutable": (IllegalState, "A category keeps its identifier."),
    "part_delete_is_soft": (IllegalState, "Parts are deleted softly only."),
    "category_delete_is_soft": (IllegalState, "Categories are deleted softly only."),
}

# Constraints that no request can break, whatever it says: if one speaks, we are at fault.
OURS = frozenset(
    {
        *("users_pkey", "username_present", "request_pkey", "body_hash_is_sha256"),
        *("category_updated_by_exists", "part_updated_by_exists", "part_version_author_exists"),
        *("part_version_positive", "published_version_within_version", "part_version_dense", "rolled_back_to_earlier"),
        *("part_image_pkey", "part_image_part_exists", "part_image_is_not_truncated"),
        *("part_version_pkey", "part_version_part_exists", "part_version_number_positive"),
        *("part_version_is_append_only", "part_version_is_made_by_commits"),
    }
)


def from_constraint(error: asyncpg.PostgresError) -> PartstreamError:
    """The error to answer when the database refuses a statement."""
    name = getattr(error, "constraint_name", None) or ""
    if name in FIELDS:
        path, message = FIELDS[name]
        return FieldInvalid(f"{path}: {message}", fields=(FieldViolation(path, message),))
    if name in STATES:
        kind, message = STATES[name]
        return kind(message)
    return InternalFault("The database refused the change.", metadata={"constraint": name})
