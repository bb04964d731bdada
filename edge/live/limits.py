"""Limits of live connections."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from chassis.addresses import site_of
from chassis.limits import Rate
from edge.live.errors import LimitReached, Rejected

if TYPE_CHECKING:
    from collections.abc import Callable

    from chassis.limits import Limits


@dataclass(frozen=True, slots=True)
class LiveLimits:
    """Every bound of live delivery."""

    connections: int = 10_000  # of one process; an idle one costs about 170 KiB, see docs/performance.md
    connections_per_address: int = 1_000  # offices and phone networks share addresses
    subscriptions: int = 100  # of one connection
    parts_per_subscription: int = 1_000
    # Parts and categories of all subscriptions together; a name in two subscriptions counts twice. Each costs about 300
    # bytes, and a part that no other subscription contains another 1 KB.
    parts_per_connection: int = 50_000
    parts_per_address: int = 100_000
    parts: int = 500_000  # of one process
    # Work that one address may cause: 1 for a name in a subscription, for 64 bytes of a message, for 20 missed changes.
    # About 12 us of the process each, so that one address takes an eighth of it.
    work_per_second: float = 10_000.0
    work_burst: int = 10_000
    work_wait_seconds: float = 10.0  # a subscription that would have to wait longer is rejected
    categories_per_subscription: int = 100
    message_bytes: int = 128 * 1024  # 1,000 part ids of 64 characters and their quotes fit
    messages_per_second: float = 20.0
    message_burst: int = 100
    queue_bytes: int = 1024 * 1024  # of mode `all`, waiting to be sent; beyond it a client catches up
    pending_parts: int = 20_000  # of mode `latest`: parts of subscribed categories with an event waiting; likewise
    own_frames: int = 1_000  # responses and snapshots waiting to be sent
    send_seconds: float = 30.0  # a client that takes longer to accept one frame is closed
    bookmark_seconds: float = 15.0


def live_limits(given: Limits) -> LiveLimits:
    """Return the defaults, and what the setting overrides."""
    defaults = LiveLimits()
    work = given.rate("live_work", Rate(defaults.work_burst, 1))
    return replace(
        defaults,
        connections_per_address=given.count("connections_per_address", defaults.connections_per_address),
        connections=max(defaults.connections, given.count("connections_per_address", 0)),
        parts_per_connection=given.count("live_parts_per_connection", defaults.parts_per_connection),
        parts_per_address=given.count("live_parts_per_address", defaults.parts_per_address),
        parts=given.count("live_parts", defaults.parts),
        work_per_second=work.amount / work.seconds,
        work_burst=work.amount,
    )


class LiveConnectionLimiter:
    """Counts open connections, in total and by address, and holds the allowance of each address."""

    def __init__(self, limits: LiveLimits) -> None:
        """Start without connections."""
        self._limits = limits
        self._allowances: dict[str, AddressAllowance] = {}
        self._watched = WatchedParts(limits.parts)
        self._total = 0

    def enter(self, address: str) -> AddressAllowance:
        """Admit a connection; raise ``LimitReached``. An IPv6 network counts as one address."""
        site = site_of(address)
        if self._total >= self._limits.connections:
            raise LimitReached("OVERLOADED", "Too many live connections are open here.")
        allowance = self._allowances.get(site) or AddressAllowance(site, self._limits, self._watched)
        if allowance.connections >= self._limits.connections_per_address:
            raise LimitReached("LIMIT_REACHED", "Too many live connections are open from your address.")
        self._allowances[site] = allowance
        self._total += 1
        allowance.connections += 1
        return allowance

    def leave(self, allowance: AddressAllowance) -> None:
        """Release an admitted connection."""
        self._total -= 1
        allowance.connections -= 1
        if not allowance.connections:
            self._allowances.pop(allowance.address, None)


class TokenBucket:
    """A rate with a burst: one token per message."""

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Start full."""
        self._per_second = per_second
        self._burst = float(burst)
        self._tokens = float(burst)
        self._clock = clock
        self._at = clock()

    def take(self) -> bool:
        """Take one token; return whether there was one."""
        self._refill()
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def reserve(self, tokens: int, max_seconds: float) -> float | None:
        """Take tokens and return the seconds until they are due; ``None``, and nothing taken, when that is too long."""
        self._refill()
        wait = max(0.0, (tokens - self._tokens) / self._per_second)
        if wait > max_seconds and self._tokens < self._burst:
            return None
        self._tokens -= tokens
        return wait

    def _refill(self) -> None:
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_second)
        self._at = now


class WatchedParts:
    """The number of parts in all subscriptions of a process."""

    def __init__(self, most: int) -> None:
        """Start at zero."""
        self.most = most
        self.parts = 0


class AddressAllowance:
    """What the connections of one address may do together."""

    def __init__(self, address: str, limits: LiveLimits, watched: WatchedParts) -> None:
        """Start unused; all addresses share ``watched``."""
        self.address = address
        self.connections = 0
        self.parts = 0
        self._limits = limits
        self._watched = watched
        self._work = TokenBucket(limits.work_per_second, limits.work_burst)

    async def spend(self, work: int) -> None:
        """Return once the work is within the rate; raise ``Rejected`` when that takes too long."""
        wait = self._work.reserve(work, self._limits.work_wait_seconds)
        if wait is None:
            raise Rejected("OVERLOADED", "Your address subscribes faster than allowed: subscribe again later.")
        if wait:
            await asyncio.sleep(wait)

    async def owe(self, work: int) -> None:
        """Return once the work is within the rate, however long that takes: for work that has started already."""
        wait = self._work.reserve(work, math.inf)
        if wait:
            await asyncio.sleep(wait)

    def require_capacity(self, parts: int, of_connection: int) -> None:
        """Raise ``Rejected`` when a connection with ``of_connection`` parts cannot subscribe to ``parts`` more."""
        limits = self._limits
        if of_connection + parts > limits.parts_per_connection:
            raise Rejected("LIMIT_REACHED", f"A connection subscribes to {limits.parts_per_connection} parts at most.")
        if self.parts + parts > limits.parts_per_address:
            raise Rejected("LIMIT_REACHED", f"An address subscribes to {limits.parts_per_address} parts at most.")
        if self._watched.parts + parts > self._watched.most:
            raise Rejected("OVERLOADED", "Too many parts are subscribed to on this server: subscribe again later.")

    def watch(self, parts: int) -> None:
        """Count the parts of a subscription; a negative number is one that ended."""
        self.parts += parts
        self._watched.parts += parts
