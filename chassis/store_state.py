"""Whether writes to a database work: from failed requests and a probe; logged when it changes, reported by health.

A database that is read-only or full still serves reads, so a ping does not show it. A failed request starts the
condition; only the probe ends it, because a full disk still accepts some writes.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

from chassis.errors import StoreUnavailable
from chassis.store_errors import meaning_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from chassis.store_errors import Meaning

log = logging.getLogger(__name__)

QUIET_SECONDS: Final = 2.0  # without a failed write before writes count as working again


class StoreState:
    """The state of writes to one database; logs each change once."""

    def __init__(self, name: str) -> None:
        """``name`` is for the log; writes are assumed to work."""
        self.name = name
        self.cause = ""  # why writes fail; empty while they work
        self.on_change: Callable[[], None] = lambda: None
        self._since = 0.0
        self._met_at = 0.0

    def met(self, error: BaseException) -> None:
        """Record an error of the driver; only a condition of the whole database changes the state."""
        meaning = meaning_of(error)
        if meaning is not None and meaning.is_condition:
            self.fails(meaning, error)

    def fails(self, meaning: Meaning, error: BaseException | None = None) -> None:
        """Record that the database is in this condition."""
        self._met_at = time.monotonic()
        if self.cause == meaning.cause:
            return
        if not self.cause:
            self._since = self._met_at
        self.cause = meaning.cause
        log.warning("writes fail database=%s cause=%s error=%r", self.name, meaning.cause, error)
        self.on_change()

    def works(self) -> None:
        """Record a successful probe: it ends the condition unless a request failed in the last 2 s."""
        now = time.monotonic()
        if not self.cause or now - self._met_at < QUIET_SECONDS:
            return
        log.warning("writes work again database=%s cause=%s seconds=%.1f", self.name, self.cause, now - self._since)
        self.cause = ""
        self.on_change()

    async def check_writes(self) -> None:
        """Raise ``StoreUnavailable`` while writes fail; the ping of an optional dependency."""
        if self.cause:
            message = f"Writes fail: {self.cause}."
            raise StoreUnavailable(message, metadata={"cause": self.cause})
