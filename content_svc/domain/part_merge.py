"""What a write makes of a part: which fields it takes, and which of them differ."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from chassis.errors import FieldViolation
from content_svc.domain.part import CONTENT_FIELDS, PartContent, Scalar
from content_svc.domain.violations import field_invalid


def merge_content(present: PartContent, wanted: PartContent, mask: Collection[str]) -> PartContent:
    """The present content with the masked fields taken from ``wanted``; an unset status stays as it is.

    An empty mask, or one of ``*``, takes every field. ``FieldInvalid`` names paths that no caller may set.
    """
    names = settable_fields(mask)
    taken = {name: getattr(wanted, name) for name in names if name != "status" or wanted.status is not None}
    return replace(present, **taken)


def settable_fields(mask: Collection[str]) -> tuple[str, ...]:
    """The fields of content that a mask names."""
    if not mask or "*" in mask:
        return CONTENT_FIELDS
    unknown = [path for path in mask if path not in CONTENT_FIELDS]
    if unknown:
        raise field_invalid(
            [FieldViolation("update_mask", f"{path!r} is not a field that can be set") for path in unknown]
        )
    return tuple(name for name in CONTENT_FIELDS if name in mask)


def changed_fields(before: PartContent, after: PartContent) -> tuple[str, ...]:
    """Names of the fields that differ, sorted. ``true`` differs from 1, as it does in JSON."""
    names = [
        name for name in CONTENT_FIELDS if name != "specifications" and getattr(before, name) != getattr(after, name)
    ]
    if _typed(before.specifications) != _typed(after.specifications):
        names.append("specifications")
    return tuple(sorted(names))


def _typed(specifications: Mapping[str, Scalar]) -> dict[str, tuple[bool, Scalar]]:
    return {name: (isinstance(value, bool), value) for name, value in specifications.items()}


def changes_publication(before: PartContent | None, after: PartContent) -> bool:
    """Whether a write shows a part to the public or hides it, which needs a permission of its own."""
    was_public = before is not None and before.status == "published"
    return was_public != (after.status == "published")
