"""What became of one part of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from chassis.errors import PartstreamError

Outcome: TypeAlias = Literal["created", "updated", "unchanged", "refused"]


@dataclass(frozen=True, slots=True)
class UpsertResult:
    """What became of one part; ``version`` is the one it has now, 0 when it is not there."""

    part_id: str
    outcome: Outcome
    version: int = 0
    error: PartstreamError | None = None
