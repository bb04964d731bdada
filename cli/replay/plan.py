"""Turns a snapshot into the requests that play it: what may go at once, and what must wait for an earlier row."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cli.replay.movements import Movement, Reason

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_ADJUSTMENTS = 1_000  # of BatchAdjustStock


@dataclass(slots=True)
class Wave:
    """Movements of different parts: all of them may be under way at the same time."""

    sets: list[Movement] = field(default_factory=list)
    adjustments: list[Movement] = field(default_factory=list)
    archives: list[Movement] = field(default_factory=list)
    skipped: list[Movement] = field(default_factory=list)

    def batches(self) -> list[list[Movement]]:
        """Return the adjustments in batches as even as their number allows, for several go in parallel."""
        count = -(-len(self.adjustments) // MOST_ADJUSTMENTS)
        return [self.adjustments[number::count] for number in range(count)]


def waves(movements: Iterable[Movement]) -> list[Wave]:
    """Return the waves of one snapshot: the n-th row of a part is in the n-th wave."""
    planned: list[Wave] = []
    met: Counter[str] = Counter()
    for movement in movements:
        turn = met[movement.sku]
        met[movement.sku] += 1
        if turn == len(planned):
            planned.append(Wave())
        _place(movement, planned[turn])
    return planned


def _place(movement: Movement, wave: Wave) -> None:
    match movement.reason:
        case Reason.LISTED | Reason.RELISTED if movement.after is not None:
            wave.sets.append(movement)
        case Reason.NET_IN | Reason.NET_OUT if movement.delta:
            wave.adjustments.append(movement)
        case Reason.DELISTED:
            wave.archives.append(movement)
        case _:
            wave.skipped.append(movement)
