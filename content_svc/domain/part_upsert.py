"""The result of one part of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from chassis.errors import PartstreamError

Outcome: TypeAlias = Literal["created", "updated", "unchanged", "rejected"]


@dataclass(frozen=True, slots=True)
class UpsertResult:
    """The outcome for one part; ``version`` is its present one, 0 when it does not exist."""

    part_id: str
    outcome: Outcome
    version: int = 0
    error: PartstreamError | None = None
