"""Merge a write into a part: the fields it sets, and those that differ."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from chassis.errors import FieldViolation
from content_svc.domain.part import CONTENT_FIELDS, PartContent, Scalar
from content_svc.domain.violations import field_invalid


def merge_content(present: PartContent, wanted: PartContent, mask: Collection[str]) -> PartContent:
    """Return the present content with the masked fields of ``wanted``; an unset status keeps the present one.

    An empty mask, or ``*``, names every field. Raise ``FieldInvalid`` for paths that no caller can set.
    """
    names = settable_fields(mask)
    taken = {name: getattr(wanted, name) for name in names if name != "status" or wanted.status is not None}
    return replace(present, **taken)


def settable_fields(mask: Collection[str]) -> tuple[str, ...]:
    """Return the fields that a mask names. Raise ``FieldInvalid`` for unknown paths."""
    if not mask or "*" in mask:
        return CONTENT_FIELDS
    unknown = [path for path in mask if path not in CONTENT_FIELDS]
    if unknown:
        raise field_invalid(
            [FieldViolation("update_mask", f"{path!r} is not a field that can be set") for path in unknown]
        )
    return tuple(name for name in CONTENT_FIELDS if name in mask)


def changed_fields(before: PartContent, after: PartContent) -> tuple[str, ...]:
    """Return the names of the fields that differ, sorted. ``true`` differs from 1, as in JSON."""
    names = [
        name for name in CONTENT_FIELDS if name != "specifications" and getattr(before, name) != getattr(after, name)
    ]
    if _typed(before.specifications) != _typed(after.specifications):
        names.append("specifications")
    return tuple(sorted(names))


def _typed(specifications: Mapping[str, Scalar]) -> dict[str, tuple[bool, Scalar]]:
    return {name: (isinstance(value, bool), value) for name, value in specifications.items()}


def changes_publication(before: PartContent | None, after: PartContent) -> bool:
    """Return whether a write publishes a part or hides it, which needs a permission of its own."""
    was_public = before is not None and before.status == "published"
    return was_public != (after.status == "published")
