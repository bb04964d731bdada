"""Limits how many snapshots one server reads at a time; further ones are rejected with a retry delay, not queued.

Each snapshot holds a connection and an old view of the rows, which delays VACUUM. A slow reader is ended, so that it
cannot exclude others permanently.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from chassis.errors import DeadlinePassed, Overloaded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

AT_ONCE = 4
MOST_SECONDS = 900.0  # a million levels take half a minute
_RETRY_SECONDS = 2.0


class SnapshotGate:
    """Admits a bounded number of snapshots."""

    def __init__(self, at_once: int = AT_ONCE, most_seconds: float = MOST_SECONDS) -> None:
        self._at_once = at_once
        self._most_seconds = most_seconds
        self.open = 0

    @contextlib.contextmanager
    def enter(self) -> Iterator[Callable[[], None]]:
        """Admit a snapshot or raise ``Overloaded``. Call the yielded function before each page: it limits the time."""
        if self.open >= self._at_once:
            message = "Too many snapshots are being read. Retry later."
            raise Overloaded(message, retry_after_seconds=_RETRY_SECONDS)
        until = time.monotonic() + self._most_seconds

        def require_time() -> None:
            if time.monotonic() > until:
                message = "The snapshot took too long. Resume it after the last page."
                raise DeadlinePassed(message)

        self.open += 1
        try:
            yield require_time
        finally:
            self.open -= 1
