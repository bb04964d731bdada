"""Rate limits of gRPC callers: calls by class and role, open streams, snapshots. Each server counts for itself.

Calls of the system's processes are not counted: the edge limits its users itself, and followers must not be delayed.
Users are counted by id, guests by address.
"""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from typing import TYPE_CHECKING, Final

from chassis import call_metrics
from chassis.addresses import site_of
from chassis.call_facts import is_read
from chassis.errors import Overloaded
from chassis.limits import GUEST, Limits, Rate
from chassis.rates import READS, RESERVATIONS, WRITES, Quota, Quotas

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chassis.caller import Caller

log = logging.getLogger("partstream.calls")

LIMIT: Final = "limit"  # names the limit in the metadata of the error
SNAPSHOTS: Final = "snapshots"
# A snapshot reads every row: about a second of a core for 30,000 parts.
SNAPSHOT_RATE: Final = Rate(30, 60)
STREAMS_PER_CALLER: Final = 50
STREAMS: Final = 1_000  # of all callers but the system's processes; one costs about 50 KB and a task
_STREAM_RETRY_SECONDS: Final = 5.0


class CallLimits:
    """The limits of one server."""

    def __init__(self, limits: Limits | None = None) -> None:
        """Use the defaults with the overrides in ``limits``."""
        given = limits or Limits()
        self._quotas = Quotas(given)
        self._snapshots = Quota(SNAPSHOTS, GUEST, given.rate(SNAPSHOTS, SNAPSHOT_RATE))
        self._per_caller = given.count("streams_per_caller", STREAMS_PER_CALLER)
        self._most = given.count("streams", STREAMS)
        self._open: Counter[str] = Counter()
        self._total = 0

    def admit(self, method: str, caller: Caller) -> None:
        """Count a call; raise ``Overloaded`` for one beyond the caller's limit."""
        if caller.by_process:
            return
        name = class_of(method)
        quota = self._quotas.of_guest(name) if caller.is_anonymous else self._quotas.of_roles(name, caller.roles)
        _take(quota, _key(caller))
        if "/Snapshot" in method:
            _take(self._snapshots, _key(caller))

    @contextlib.contextmanager
    def stream(self, caller: Caller) -> Iterator[None]:
        """Count a stream while it is open; raise ``Overloaded`` beyond the limit of its caller or of all callers."""
        if caller.by_process:
            yield
            return
        key = _key(caller)
        if self._open[key] >= self._per_caller:
            self._reject_stream(f"Stream limit reached: {self._per_caller} per caller. Close one, or retry later.")
        if self._total >= self._most:
            self._reject_stream("Stream limit of the server reached. Retry later.")
        self._open[key] += 1
        self._total += 1
        try:
            yield
        finally:
            self._total -= 1
            self._open[key] -= 1
            if not self._open[key]:
                del self._open[key]

    def _reject_stream(self, message: str) -> None:
        call_metrics.refused("streams").inc()
        raise Overloaded(message, metadata={LIMIT: "streams"}, retry_after_seconds=_STREAM_RETRY_SECONDS)


def class_of(method: str) -> str:
    """Return the class of a method, given as ``/package.Service/Method``."""
    if is_read(method):
        return READS
    return RESERVATIONS if "Reservation" in method.rpartition("/")[2] else WRITES


def _key(caller: Caller) -> str:
    return site_of(caller.client_ip) if caller.is_anonymous else caller.user_id


def _take(quota: Quota, key: str) -> None:
    verdict = quota.take(key)
    if not verdict.allowed:
        call_metrics.refused(quota.name).inc()
        message = f"Rate limit reached: {quota.rate.amount} {quota.name} in {quota.rate.seconds} s. Retry later."
        if verdict.is_first_rejection:
            log.info("call limit reached class=%s role=%s caller=%s", quota.name, quota.role, key)
        raise Overloaded(message, metadata={LIMIT: quota.name}, retry_after_seconds=verdict.reset_seconds)
