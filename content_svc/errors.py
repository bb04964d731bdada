"""Errors of the content service, and the error of each constraint of its database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chassis.constraint_errors import ConstraintError, error_of_constraint, invalid_field
from chassis.errors import (
    AlreadyExists,
    FailedPrecondition,
    HasDependents,
    IllegalState,
    NotFound,
    PartstreamError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    """The part is deleted or archived."""

    reason = "PART_ARCHIVED"


# The error of each constraint. A write that passed the rules of the domain violates one only after a race, or where
# only the database can check the rule.
CONSTRAINTS: Final[Mapping[str, ConstraintError]] = {
    "part_id_form": invalid_field("part.part_id", "must be 1-64 of A-Z a-z 0-9 . _ -"),
    "part_category_exists": invalid_field("part.category_id", "names a category that does not exist"),
    "title_length": invalid_field("part.title", "must have 1-300 characters"),
    "summary_length": invalid_field("part.summary", "must have at most 2000 characters"),
    "description_length": invalid_field("part.description", "must have at most 100000 characters"),
    "specifications_are_scalars": invalid_field(
        "part.specifications", "must be at most 200 texts, numbers and booleans"
    ),
    "price_not_negative": invalid_field("part.price.amount_minor", "must not be negative"),
    "cost_not_negative": invalid_field("part.cost.amount_minor", "must not be negative"),
    "currency_code": invalid_field("part.price.currency", "must be three capital letters"),
    "money_has_currency": invalid_field("part.price.currency", "must be given"),
    "price_breaks_rise": invalid_field("part.price_breaks", "must be at most 50 and rise in quantity"),
    "price_breaks_have_price": invalid_field("part.price_breaks", "need a price"),
    "status_known": invalid_field("part.status", "is unknown"),
    "mpn_length": invalid_field("part.mpn", "must have at most 200 characters"),
    "manufacturer_length": invalid_field("part.manufacturer", "must have at most 200 characters"),
    "datasheet_url_form": invalid_field("part.datasheet_url", "must be an http or https address"),
    "images_at_most_20": invalid_field("part.images", "must be at most 20"),
    "image_url_form": invalid_field("part.images", "must be https addresses or paths on this site"),
    "image_alt_length": invalid_field("part.images", "must have texts of at most 500 characters"),
    "image_width_not_negative": invalid_field("part.images", "must not have a negative width"),
    "image_height_not_negative": invalid_field("part.images", "must not have a negative height"),
    "image_positions_dense": invalid_field("part.images", "must not leave out a position"),
    "category_id_form": invalid_field("category.category_id", "must be 1-128 of a-z 0-9 -"),
    "category_parent_exists": invalid_field("category.parent_id", "names a category that does not exist"),
    "category_name_length": invalid_field("category.name", "must have 1-200 characters"),
    "category_depth_within_16": invalid_field("category.parent_id", "is too deep in the tree: 16 levels at most"),
    "category_no_cycle": invalid_field("category.parent_id", "is the category itself or below it"),
    "part_pkey": ConstraintError(PartExists, "A part with this id exists already."),
    "category_pkey": ConstraintError(CategoryExists, "A category with this id exists already."),
    "category_has_dependents": ConstraintError(HasDependents, "The category has parts or categories."),
    "part_id_immutable": ConstraintError(IllegalState, "The id of a part is immutable."),
    "category_id_immutable": ConstraintError(IllegalState, "The id of a category is immutable."),
    "part_delete_is_soft": ConstraintError(IllegalState, "A part is only marked as deleted."),
    "category_delete_is_soft": ConstraintError(IllegalState, "A category is only marked as deleted."),
}

# Constraints that no request can violate: a violation is an internal fault.
INTERNAL_CONSTRAINTS: Final = frozenset(
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
    """Return the error for a caller whose write violates a constraint."""
    return error_of_constraint(getattr(error, "constraint_name", None), CONSTRAINTS)
