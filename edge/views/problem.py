"""The body of every error response."""

from __future__ import annotations

from typing import Any

import msgspec


class FieldProblem(msgspec.Struct):
    """One invalid field."""

    field: str
    message: str


class Problem(msgspec.Struct, omit_defaults=False):
    """RFC 9457 problem details. ``reason`` is the stable code to branch on; ``detail`` is for people."""

    type: str
    title: str
    status: int
    detail: str
    reason: str
    request_id: str
    errors: list[FieldProblem]
    metadata: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    current: Any = msgspec.UNSET
    changed_by: str | msgspec.UnsetType = msgspec.UNSET
    changed_at: str | msgspec.UnsetType = msgspec.UNSET
