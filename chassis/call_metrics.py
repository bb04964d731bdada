"""Metrics of gRPC calls, by method and status code."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

# A `_created` series doubles the series of every counter and histogram, and no rule or dashboard reads one.
disable_created_metrics()  # type: ignore[no-untyped-call]

# A read takes about 1 ms, a write with its commit 2-20 ms.
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

# Calls that ended, streams included.
CALLS: Final = Counter("partstream_grpc_calls_total", "Calls that ended.", ("method", "code"))
# Time of unary calls.
SECONDS: Final = Histogram("partstream_grpc_call_seconds", "Time of unary calls.", ("method",), buckets=_BUCKETS)
# Open watches and snapshots.
OPEN_STREAMS: Final = Gauge("partstream_grpc_open_streams", "Streams being sent.", ("method",))

# Calls rejected by a limit of their caller, by class (`reads`, `writes`, `reservations`, `snapshots`, `streams`).
REFUSED: Final = Counter("partstream_grpc_limited_calls_total", "Calls beyond a limit of their caller.", ("class",))

# Looking up a labelled series costs as much as counting; methods and codes are few.
calls = lru_cache(1024)(CALLS.labels)
seconds = lru_cache(256)(SECONDS.labels)
open_streams = lru_cache(64)(OPEN_STREAMS.labels)
refused = lru_cache(8)(REFUSED.labels)
