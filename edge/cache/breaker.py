"""Errors of the shared tier, and the circuit breaker that skips calls while Redis is unavailable.

None of the errors reaches a client.
"""

from __future__ import annotations

import logging
import random
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class CacheError(Exception):
    """An operation of the cache failed."""


class SharedTierUnavailable(CacheError):
    """Redis does not respond, or failed so often that it is not called for a while."""


class SharedTierBehind(CacheError):
    """The shared tier has lost its position or is before the entries given: applying them would leave a gap."""


FAILURES_TO_OPEN = 3
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 10.0


class CircuitBreaker:
    """Closed: calls pass. Open: none do. After a pause one call passes; its outcome decides."""

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, spread: Callable[[], float] = random.random
    ) -> None:
        """Start closed."""
        self._clock = clock
        self._spread = spread
        self._failures = 0
        self._open_until = 0.0
        self._trying = False

    @property
    def is_open(self) -> bool:
        """Return whether the breaker is open, as of the last outcome."""
        return self._failures >= FAILURES_TO_OPEN

    @property
    def would_allow(self) -> bool:
        """Return whether a call made now would pass."""
        return not self.is_open or (not self._trying and self._clock() >= self._open_until)

    def allows(self) -> bool:
        """Return whether to make a call now. The caller must then report the outcome."""
        if not self.would_allow:
            return False
        self._trying = self.is_open
        return True

    def succeeded(self) -> bool:
        """Record a success; return whether this closed the breaker."""
        was_open = self.is_open
        self._failures = 0
        self._trying = False
        return was_open

    def failed(self) -> None:
        """Record a failure."""
        self._failures += 1
        self._trying = False
        if self.is_open:
            pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(self._failures - FAILURES_TO_OPEN, 16))
            self._open_until = self._clock() + pause * (0.5 + 0.5 * self._spread())

    def forget(self) -> None:
        """Record that the call was cancelled before it had an outcome."""
        self._trying = False


log = logging.getLogger(__name__)
