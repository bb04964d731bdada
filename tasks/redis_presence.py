"""Whether this process reaches Redis: said when it changes, not with every attempt.

Dramatiq's consumers say CRITICAL, some with a trace, for each of their queues every three seconds as long as Redis is
away. Nothing is lost meanwhile - jobs wait in the change logs - and one line says as much.
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
_AWAY = "Redis is away; jobs wait in the change logs until it is back: %s"


class RedisPresence:
    """Told by whoever speaks to Redis, from any thread."""

    def __init__(self) -> None:
        """Redis is there until somebody misses it."""
        self._lock = threading.Lock()
        self._away_since: float | None = None

    @property
    def is_away(self) -> bool:
        """Whether the last that was heard of it is that a call failed."""
        return self._away_since is not None

    @property
    def away_seconds(self) -> float:
        """How long it has been unavailable; 0 while it is available."""
        since = self._away_since
        return 0.0 if since is None else time.monotonic() - since

    def lost(self, error: object) -> None:
        """A call failed."""
        with self._lock:
            if self._away_since is not None:
                return
            self._away_since = time.monotonic()
        log.warning(_AWAY, error)

    def found(self) -> None:
        """A call went well."""
        with self._lock:
            since, self._away_since = self._away_since, None
        if since is not None:
            log.info("Redis is back after %.1f s", time.monotonic() - since)

    def quiet(self) -> logging.Filter:
        """A filter that turns what the consumers say of a lost connection into the one line."""
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
