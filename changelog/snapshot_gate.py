"""How many snapshots one server reads at a time. Who comes too many is told when to come again, and does not queue.

Each holds a connection, and a view of the rows as they were, which keeps the database from tidying up. A
reader that dawdles is ended, so that it cannot keep the others out.
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
    """Lets a few in."""

    def __init__(self, at_once: int = AT_ONCE, most_seconds: float = MOST_SECONDS) -> None:
        """Nobody is in."""
        self._at_once = at_once
        self._most_seconds = most_seconds
        self.open = 0

    @contextlib.contextmanager
    def enter(self) -> Iterator[Callable[[], None]]:
        """Read a snapshot; ``Overloaded`` when as many as may are being read. Call what is given before each page."""
        if self.open >= self._at_once:
            message = "Other snapshots are being read: come again shortly."
            raise Overloaded(message, retry_after_seconds=_RETRY_SECONDS)
        until = time.monotonic() + self._most_seconds

        def require_time() -> None:
            if time.monotonic() > until:
                message = "The snapshot took too long: resume it after the last page."
                raise DeadlinePassed(message)

        self.open += 1
        try:
            yield require_time
        finally:
            self.open -= 1
