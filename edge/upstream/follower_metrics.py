"""Metrics of the followers of this process, collected when Prometheus scrapes.

The labels are the log and the sink: ``memory`` (the cache and the sockets), ``shared`` (Redis; in the leader only) and
``audit`` (the dispatcher; in the leader only).
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
    """Connection, lag and counts of a follower."""

    connected: bool
    # Revisions of the log, as of the last message, that the sink has not applied.
    lag_revisions: int
    # The sink may lack commits of this last time; silence longer than a bookmark interval counts.
    lag_seconds: float
    # Since the last message of any kind, or since the start of the follower.
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
    ("resyncs", "Times the stream could not be resumed and state was loaded again."),
    ("gaps", "Revisions that did not follow the one before."),
)


class FollowerMetrics(Collector):
    """Collects the metrics of the followers of this process."""

    def __init__(self) -> None:
        """Start without followers."""
        self._read: dict[tuple[str, str], Callable[[], FollowerStatus]] = {}

    @contextlib.contextmanager
    def showing(self, log: str, sink: str, read: Callable[[], FollowerStatus]) -> Iterator[None]:
        """Publish the status that ``read`` returns until the block is left."""
        self._read[log, sink] = read
        try:
            yield
        finally:
            if self._read.get((log, sink)) is read:
                del self._read[log, sink]

    def collect(self) -> Iterable[Metric]:
        """Return one sample per follower and metric."""
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
        """Return nothing: the labels are only known at collection."""
        return ()


def status_of(follower: Follower) -> Callable[[], FollowerStatus]:
    """Return a function that reads the status of a follower; its silence counts from now."""
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
