"""Suppresses repeated log lines: the first one is written at once, the next ones are counted.

While a database is unavailable every loop that needs it logs each attempt: hundreds of lines that hide the important
one. Equal lines are held back for a pause that grows, and the next one written has their number.
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
_MAX_KINDS = 1_000  # kinds of lines; beyond it every line is written
# Each line of these loggers is about another call or event.
_EACH_COUNTS = frozenset({"edge.access", "edge.security", "partstream.alerts", "partstream.calls"})

_Key = tuple[object, ...]


@dataclass(slots=True)
class _Kind:
    """Lines that differ only in numbers and in the text of an error."""

    written_at: float
    seen_at: float
    pause: float = FIRST_PAUSE_SECONDS
    held: int = 0
    last: logging.LogRecord | None = None


class Repeats:
    """Decides which records are written now; thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` returns seconds."""
        self._clock = clock
        self._kinds: dict[_Key, _Kind] = {}
        self._lock = threading.Lock()
        self._checked_at = 0.0

    def admitted(self, record: logging.LogRecord) -> list[logging.LogRecord]:
        """Return the records to write now: held-back ones that are due, then this one unless it is a repetition."""
        now = self._clock()
        with self._lock:
            due = self._ended(now) if now - self._checked_at >= 1.0 else []
            if self._is_held(record, now):
                return due
        return [*due, record]

    def held(self) -> list[logging.LogRecord]:
        """Return the last held-back record of each kind; for the end of the process."""
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
            if len(self._kinds) < _MAX_KINDS:
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

    def _ended(self, now: float) -> list[logging.LogRecord]:
        """Remove the kinds without a line for a pause; return their held-back records."""
        self._checked_at = now
        ended = [key for key, kind in self._kinds.items() if now - kind.seen_at >= kind.pause]
        return [record for key in ended if (record := _summary(self._kinds.pop(key))) is not None]


def _key(record: logging.LogRecord) -> _Key:
    arguments = record.args if isinstance(record.args, tuple) else ()
    # Numbers and errors differ from line to line; the texts name the subject.
    words = [argument for argument in arguments if isinstance(argument, str)]
    return (record.name, record.levelno, record.msg, *words)


def _summary(kind: _Kind) -> logging.LogRecord | None:
    if kind.last is None:
        return None
    kind.last.repeated = kind.held
    return kind.last
