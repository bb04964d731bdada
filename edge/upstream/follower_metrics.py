"""How each follower of this process is doing, read from it when Prometheus asks.

A follower is named by its log and by what it feeds: ``memory`` (the cache and the sockets), ``shared`` (Redis; in the
elected process only) and ``audit`` (the dispatcher; in the elected process only).
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client.core import Metric

    from changelog.follower import Follower

_LABELS: Final = ("log", "sink")


@dataclass(frozen=True, slots=True)
class FollowerStatus:
    """How a follower is doing."""

    connected: bool
    # Revisions the log had, at the last message, and what is fed has not.
    lag_revisions: int
    # What is fed may lack what was committed in so many seconds; silence longer than a bookmark interval counts.
    lag_seconds: float
    # Since the last message of any kind, or since the follower began.
    silent_seconds: float
    reconnects: int
    resyncs: int
    gaps: int


_GAUGES: Final = (
    ("connected", "1 while the stream is open."),
    ("lag_revisions", "Revisions of the log that are not applied, as of the last message."),
    ("lag_seconds", "From a commit to its application; silence beyond a bookmark interval counts."),
    ("silent_seconds", "Time since the last message."),
)
_COUNTERS: Final = (
    ("reconnects", "Streams that ended and were opened again."),
    ("resyncs", "Times the stream could not be resumed and state was made anew."),
    ("gaps", "Revisions that did not come in their turn."),
)


class FollowerMetrics(Collector):
    """The followers of this process."""

    def __init__(self) -> None:
        """There are none yet."""
        self._read: dict[tuple[str, str], Callable[[], FollowerStatus]] = {}

    @contextlib.contextmanager
    def showing(self, log: str, sink: str, read: Callable[[], FollowerStatus]) -> Iterator[None]:
        """Publish what ``read`` answers until the block is left."""
        self._read[log, sink] = read
        try:
            yield
        finally:
            if self._read.get((log, sink)) is read:
                del self._read[log, sink]

    def collect(self) -> Iterable[Metric]:
        """One sample per follower and metric."""
        # A copy: the operations port collects in a thread of its own.
        statuses = [(labels, read()) for labels, read in list(self._read.items())]
        for name, help_text in _GAUGES:
            gauge = GaugeMetricFamily(f"partstream_edge_follower_{name}", help_text, labels=_LABELS)
            for labels, status in statuses:
                gauge.add_metric(labels, float(getattr(status, name)))
            yield gauge
        for name, help_text in _COUNTERS:
            counter = CounterMetricFamily(f"partstream_edge_follower_{name}", help_text, labels=_LABELS)
            for labels, status in statuses:
                counter.add_metric(labels, getattr(status, name))
            yield counter

    def describe(self) -> Iterable[Metric]:
        """Nothing in advance: what there is shows when it is collected."""
        return ()


def status_of(follower: Follower) -> Callable[[], FollowerStatus]:
    """A reading of a follower that begins now."""
    began = time.monotonic()

    def read() -> FollowerStatus:
        silent = time.monotonic() - (follower.last_message_at or began)
        return FollowerStatus(
            follower.connected,
            follower.lag_revisions,
            max(follower.lag_seconds, silent if silent > follower.bookmark_seconds else 0.0),
            silent,
            follower.counts.reconnects,
            follower.counts.resyncs,
            follower.counts.gaps,
        )

    return read


FOLLOWERS: Final = FollowerMetrics()
REGISTRY.register(FOLLOWERS)
