"""Every metric of a change log, in one list."""

from __future__ import annotations

from typing import Final

from prometheus_client import Gauge

# Registered followers that have not reported for so long that retention no longer waits for them.
FOLLOWERS_INACTIVE: Final = Gauge(
    "partstream_log_followers_inactive", "Registered followers that no longer report.", ("log",)
)
