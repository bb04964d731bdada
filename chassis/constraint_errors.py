"""Errors of violated database constraints: each service has one table, constraint name -> error."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chassis.errors import FieldInvalid, FieldViolation, InternalFault, PartstreamError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class ConstraintError:
    """The error of one constraint. ``path`` names the field of the request that is invalid, where it is one field."""

    kind: type[PartstreamError]
    message: str
    path: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


def invalid_field(path: str, message: str) -> ConstraintError:
    """Return the entry of a constraint on one field."""
    return ConstraintError(FieldInvalid, message, path)


def error_of_constraint(constraint: str | None, table: Mapping[str, ConstraintError]) -> PartstreamError:
    """Return the error for a caller; ``InternalFault`` for a constraint that no request can violate."""
    name = constraint or ""
    entry = table.get(name)
    if entry is None:
        return InternalFault("The database rejected what the service wrote.", metadata={"rule": name})
    fields = (FieldViolation(entry.path, entry.message),) if entry.path else ()
    message = f"{entry.path}: {entry.message}" if entry.path else entry.message
    return entry.kind(message, metadata={"rule": name, **entry.metadata}, fields=fields)
