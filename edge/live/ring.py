"""The latest changes of both logs in the order this process published them, for clients that come back."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chassis.changes.cursor import Position

MOST_ENTRIES: Final = 50_000
MOST_BYTES: Final = 32 * 1024 * 1024
_ENTRY_BYTES: Final = 300  # of an entry besides its change


@dataclass(frozen=True, slots=True)
class Published:
    """A change and the positions of both logs just after it. ``change`` is a stock change or a content event."""

    log: str
    revision: int
    positions: tuple[Position, ...]
    change: Any
    size: int


class Ring:
    """Bounded by entries and by bytes; knows from which revision on it is complete."""

    def __init__(self, most_entries: int = MOST_ENTRIES, most_bytes: int = MOST_BYTES) -> None:
        """Begin empty."""
        self._entries: deque[Published] = deque()
        self._most_entries = most_entries
        self._most_bytes = most_bytes
        self._bytes = 0
        self._floors: dict[str, int] = {}
        self._newest: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def begin(self, position: Position) -> None:
        """Nothing of this log is held up to the position."""
        self._floors[position.log] = self._newest[position.log] = position.revision
        self._entries = deque(entry for entry in self._entries if entry.log != position.log)
        self._bytes = sum(entry.size for entry in self._entries)

    def add(self, log: str, revision: int, positions: tuple[Position, ...], change: Any, change_bytes: int) -> None:
        """Hold one more; the oldest leave."""
        size = _ENTRY_BYTES + change_bytes
        self._entries.append(Published(log, revision, positions, change, size))
        self._bytes += size
        self._newest[log] = revision
        while len(self._entries) > self._most_entries or self._bytes > self._most_bytes:
            oldest = self._entries.popleft()
            self._bytes -= oldest.size
            self._floors[oldest.log] = oldest.revision

    def covers(self, position: Position) -> bool:
        """Whether everything after the position is held."""
        floor = self._floors.get(position.log)
        return floor is not None and position.revision >= floor

    def holds(self, entry: Published) -> bool:
        """Whether the entry has not left yet."""
        return entry.revision > self._floors.get(entry.log, 0)

    def after(self, positions: Mapping[str, Position]) -> list[Published]:
        """What lies after a position in each log, oldest first. Costs as much as was missed, not as much as is held."""
        ahead = {log for log, newest in self._newest.items() if newest > positions[log].revision}
        found: list[Published] = []
        for entry in reversed(self._entries):
            if not ahead:
                break
            if entry.revision > positions[entry.log].revision:
                found.append(entry)
            else:
                ahead.discard(entry.log)
        found.reverse()
        return found
