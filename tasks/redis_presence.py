"""Whether Redis is available to this process, logged once per change.

Dramatiq's consumers log CRITICAL, some with a traceback, for each queue every three seconds while Redis is
unavailable. One line replaces them: nothing is lost, because jobs wait in the change logs.
"""

from __future__ import annotations

import logging
import threading
import time

from dramatiq.errors import BrokerConnectionError
from redis import RedisError

log = logging.getLogger(__name__)

_CONSUMERS = "dramatiq.worker.ConsumerThread"
_RESTARTING = "Restarting consumer"
_UNAVAILABLE = "Redis unavailable, jobs wait in the change logs error=%s"


class RedisPresence:
    """Updated from any thread after each call to Redis."""

    def __init__(self) -> None:
        """Redis counts as available until a call fails."""
        self._lock = threading.Lock()
        self._unavailable_since: float | None = None

    @property
    def is_unavailable(self) -> bool:
        """Return whether the last call failed."""
        return self._unavailable_since is not None

    @property
    def unavailable_seconds(self) -> float:
        """Return how long Redis has been unavailable; 0 while it is available."""
        since = self._unavailable_since
        return 0.0 if since is None else time.monotonic() - since

    def lost(self, error: object) -> None:
        """Report that a call failed."""
        with self._lock:
            if self._unavailable_since is not None:
                return
            self._unavailable_since = time.monotonic()
        log.warning(_UNAVAILABLE, error)

    def found(self) -> None:
        """Report that a call succeeded."""
        with self._lock:
            since, self._unavailable_since = self._unavailable_since, None
        if since is not None:
            log.info("Redis available again outage_seconds=%.1f", time.monotonic() - since)

    def quiet(self) -> logging.Filter:
        """Return a filter that replaces the consumers' records of a lost connection with the one line."""
        return _Quiet(self)


class _Quiet(logging.Filter):
    def __init__(self, presence: RedisPresence) -> None:
        super().__init__()
        self._presence = presence

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith(_CONSUMERS):
            return True
        error = _error_of(record)
        if isinstance(error, BrokerConnectionError | RedisError):
            self._presence.lost(error)
            return False
        return not str(record.msg).startswith(_RESTARTING)


def _error_of(record: logging.LogRecord) -> object:
    if record.exc_info:
        return record.exc_info[1]
    return record.args[0] if isinstance(record.args, tuple) and record.args else None
