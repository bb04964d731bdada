"""Which revision last touched a name: exact for recent changes, a floor for all older ones, bounded in size."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_NAMES = 65_536  # about 10 MB; a name is a part or a tag


class InvalidationFloor:
    """Answers "from which revision on is a copy of this not out of date?".

    A name that was forgotten counts as touched at the floor, so the answer may be too high and is never too low.
    """

    def __init__(self, floor: int, max_names: int = MAX_NAMES) -> None:
        """Nothing is known of what happened up to ``floor``."""
        self._floor = floor
        self._max_names = max_names
        self._touched: dict[str, int] = {}

    @property
    def floor(self) -> int:
        """Revision below which everything counts as touched."""
        return self._floor

    def touch(self, name: str, revision: int) -> None:
        """A change of the name was committed at the revision."""
        known = self._touched.pop(name, 0)
        self._touched[name] = max(known, revision)
        if len(self._touched) > self._max_names:
            oldest = next(iter(self._touched))
            self._floor = max(self._floor, self._touched.pop(oldest))

    def touch_all(self, revision: int) -> None:
        """Every name there is was touched."""
        self._floor = max(self._floor, revision)

    def required(self, names: Iterable[str]) -> int:
        """Least revision that a copy depending on these names must be complete up to."""
        least = self._floor
        for name in names:
            least = max(least, self._touched.get(name, 0))
        return least
