"""What a process says over and over while something is away, said once and then counted.

A database that is away for ten seconds makes every loop that needs it say so with every attempt: hundreds of lines, in
which the one that matters is not found. The first of equal lines is written at once; those that follow are held back
for a pause that grows, and the next one says how many they were.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 60.0
_MOST_KEPT = 1_000  # kinds of lines; beyond it every line is written
# Every line of these tells of another call or deed.
_EACH_COUNTS = frozenset({"edge.access", "edge.security", "partstream.alerts", "partstream.calls"})

_Key = tuple[object, ...]


@dataclass(slots=True)
class _Kind:
    """Lines that are the same but for numbers and the wording of an error."""

    written_at: float
    seen_at: float
    pause: float = FIRST_PAUSE_SECONDS
    held: int = 0
    last: logging.LogRecord | None = None


class Repeats:
    """Decides for each record what is written now; safe to use from several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` answers seconds."""
        self._clock = clock
        self._kinds: dict[_Key, _Kind] = {}
        self._lock = threading.Lock()
        self._looked_at = 0.0

    def admitted(self, record: logging.LogRecord) -> list[logging.LogRecord]:
        """The records to write now: what was held back and is over, then this one unless it is a repetition."""
        now = self._clock()
        with self._lock:
            due = self._over(now) if now - self._looked_at >= 1.0 else []
            if self._is_held(record, now):
                return due
        return [*due, record]

    def held(self) -> list[logging.LogRecord]:
        """The last record of each kind that was held back; for the end of the process."""
        with self._lock:
            found = [record for kind in self._kinds.values() if (record := _summary(kind)) is not None]
            self._kinds.clear()
        return found

    def _is_held(self, record: logging.LogRecord, now: float) -> bool:
        if record.levelno not in {logging.INFO, logging.WARNING} or record.name in _EACH_COUNTS:
            return False
        key = _key(record)
        kind = self._kinds.get(key)
        if kind is None:
            if len(self._kinds) < _MOST_KEPT:
                self._kinds[key] = _Kind(now, now)
            return False
        kind.seen_at = now
        if now - kind.written_at < kind.pause:
            kind.held += 1
            kind.last = record
            return True
        if kind.held:
            record.repeated = kind.held
        kind.written_at, kind.held, kind.last = now, 0, None
        kind.pause = min(kind.pause * 2, LONGEST_PAUSE_SECONDS)
        return False

    def _over(self, now: float) -> list[logging.LogRecord]:
        """Forget the kinds that have not come for a pause."""
        self._looked_at = now
        ended = [key for key, kind in self._kinds.items() if now - kind.seen_at >= kind.pause]
        return [record for key in ended if (record := _summary(self._kinds.pop(key))) is not None]


def _key(record: logging.LogRecord) -> _Key:
    arguments = record.args if isinstance(record.args, tuple) else ()
    # Pauses and errors differ from line to line; what the line is about does not.
    words = [argument for argument in arguments if isinstance(argument, str)]
    return (record.name, record.levelno, record.msg, *words)


def _summary(kind: _Kind) -> logging.LogRecord | None:
    if kind.last is None:
        return None
    kind.last.repeated = kind.held
    return kind.last
