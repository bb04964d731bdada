"""How much one client may ask of a live connection."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.connections import counted_address
from edge.live.errors import LimitReached

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class LiveLimits:
    """Every bound of live delivery."""

    connections: int = 10_000  # of one process; an idle one costs about 170 KiB, see docs/performance.md
    connections_per_address: int = 1_000  # offices and phone networks share addresses
    subscriptions: int = 100  # of one connection
    parts_per_subscription: int = 1_000
    categories_per_subscription: int = 100
    message_bytes: int = 128 * 1024  # 1,000 part ids of 64 characters and their quotes fit
    messages_per_second: float = 20.0
    message_burst: int = 100
    queue_bytes: int = 1024 * 1024  # of mode `all`, waiting to be sent
    pending_parts: int = 20_000  # of mode `latest`: parts of subscribed categories with an event waiting
    send_seconds: float = 30.0  # a client that takes longer to accept one frame is gone
    bookmark_seconds: float = 15.0


class Doorkeeper:
    """Counts open connections, in all and by address."""

    def __init__(self, limits: LiveLimits) -> None:
        """Nobody is in."""
        self._limits = limits
        self._by_address: Counter[str] = Counter()
        self._total = 0

    def enter(self, address: str) -> None:
        """Let a connection in; raises ``LimitReached``."""
        address = counted_address(address)
        if self._total >= self._limits.connections:
            raise LimitReached("OVERLOADED", "Too many live connections are open here.")
        if self._by_address[address] >= self._limits.connections_per_address:
            raise LimitReached("LIMIT_REACHED", "Too many live connections are open from your address.")
        self._total += 1
        self._by_address[address] += 1

    def leave(self, address: str) -> None:
        """A connection that was let in has ended."""
        address = counted_address(address)
        self._total -= 1
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]


class TokenBucket:
    """A rate with a burst: one token per message."""

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin full."""
        self._per_second = per_second
        self._burst = float(burst)
        self._tokens = float(burst)
        self._clock = clock
        self._at = clock()

    def take(self) -> bool:
        """Whether one more is within the rate."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_second)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
