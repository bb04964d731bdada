"""Rate limits: classes of requests, their quotas by role, and the counts of a process.

Counts are of fixed windows that start at multiples of their length since 1970, the same in every process. A request
costs a look-up, no call to another process.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from chassis.limits import GUEST, RATES_BY_ROLE, ROLES, Limits, Rate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

READS: Final = "reads"
WRITES: Final = "writes"
RESERVATIONS: Final = "reservations"
SIGN_IN: Final = "sign_in"

# A page of the shop is some 10 reads, and an office shares an address: 300 a second are 30 page views a second.
# A person writes a few times a second, a script of a member of staff as fast as it gets responses.
# Every reservation, and every release of one, stays in the ledger: guests and customers make 5 a second at most.
_SHOPPER: Final = {READS: Rate(3_000, 10), WRITES: Rate(300, 10), RESERVATIONS: Rate(300, 60)}
_STAFF: Final = {READS: Rate(10_000, 10), WRITES: Rate(10_000, 10), RESERVATIONS: Rate(10_000, 10)}
_SERVICE: Final = {READS: Rate(50_000, 10), WRITES: Rate(50_000, 10), RESERVATIONS: Rate(50_000, 10)}
# A password costs 50 ms of a core to check; at nine in the morning an office signs in within some minutes.
SIGN_IN_RATE: Final = Rate(300, 60)

DEFAULTS: Final[Mapping[str, Mapping[str, Rate]]] = {
    **dict.fromkeys(ROLES, _STAFF),
    GUEST: _SHOPPER,
    "customer": _SHOPPER,
    "service": _SERVICE,
}

MOST_KEYS: Final = 100_000  # callers counted in one window; a count is about 200 bytes


@dataclass(slots=True)
class Count:
    """Requests of one caller in a window: of all known processes, and those not shared with the others yet."""

    used: int = 0
    unshared: int = 0


class Verdict(NamedTuple):
    """Whether a request is within the quota, how many remain, and the seconds until the window ends."""

    allowed: bool
    remaining: int
    reset_seconds: int
    is_first_rejection: bool = False  # of the caller in this window


class Quota:
    """The quota of a class for each caller of a role, and the counts of the present window."""

    def __init__(
        self, name: str, role: str, rate: Rate, *, most_keys: int = MOST_KEYS, clock: Callable[[], float] = time.time
    ) -> None:
        """``clock`` returns seconds since 1970."""
        self.name = name
        self.role = role
        self.rate = rate
        self._most_keys = most_keys
        self._clock = clock
        self._counts: dict[str, Count] = {}
        self._rejected: set[str] = set()
        self._begins = self._ends = 0.0

    @property
    def window(self) -> int:
        """Return the number of the window that was counted last."""
        return int(self._begins) // self.rate.seconds

    def take(self, key: str) -> Verdict:
        """Count a request of a caller, unless its quota is exhausted."""
        now = self._clock()
        if not self._begins <= now < self._ends:
            self._open(now)
        count = self._counts.get(key)
        if count is None:
            count = self._add(key)
        reset = math.ceil(self._ends - now)
        if count.used >= self.rate.amount:
            is_first = key not in self._rejected
            self._rejected.add(key)
            return Verdict(False, 0, reset, is_first)
        count.used += 1
        count.unshared += 1
        return Verdict(True, self.rate.amount - count.used, reset)

    def busy(self) -> list[tuple[str, Count]]:
        """Return the callers with unshared requests who have used at least a twentieth of their quota."""
        least = max(1, self.rate.amount // 20)
        return [(key, count) for key, count in self._counts.items() if count.unshared and count.used >= least]

    def _open(self, now: float) -> None:
        self._begins = float(now // self.rate.seconds * self.rate.seconds)
        self._ends = self._begins + self.rate.seconds
        self._counts = {}
        self._rejected = set()

    def _add(self, key: str) -> Count:
        """Start a caller's count; evict the oldest one beyond the limit."""
        if len(self._counts) >= self._most_keys:
            oldest = next(iter(self._counts))
            del self._counts[oldest]
            self._rejected.discard(oldest)
        count = self._counts[key] = Count()
        return count


class Quotas:
    """All quotas of a process, by class and role."""

    def __init__(self, limits: Limits | None = None, *, clock: Callable[[], float] = time.time) -> None:
        """Use the defaults with the overrides in ``limits``."""
        given = limits or Limits()
        self._quotas = {
            (name, role): Quota(name, role, given.rate_of_role(name, role, DEFAULTS[role][name]), clock=clock)
            for role in ROLES
            for name in RATES_BY_ROLE
        }
        self._quotas[SIGN_IN, GUEST] = Quota(SIGN_IN, GUEST, given.rate(SIGN_IN, SIGN_IN_RATE), clock=clock)
        self._of_roles: dict[tuple[str, frozenset[str]], Quota] = {}

    def of_guest(self, name: str) -> Quota:
        """Return the quota of callers without a token."""
        return self._quotas[name, GUEST]

    def of_roles(self, name: str, roles: frozenset[str]) -> Quota:
        """Return the largest quota of several roles; that of customers for a signed-in caller without a known one."""
        found = self._of_roles.get((name, roles))
        if found is None:
            known = [role for role in ROLES if role in roles and role != GUEST] or ["customer"]
            found = max((self._quotas[name, role] for role in known), key=lambda quota: _per_second(quota.rate))
            if len(self._of_roles) < MOST_KEYS:
                self._of_roles[name, roles] = found
        return found

    def __iter__(self) -> Iterator[Quota]:
        """Iterate over all of them."""
        return iter(self._quotas.values())


def _per_second(rate: Rate) -> float:
    return rate.amount / rate.seconds
