"""The Dramatiq broker on Redis. Built by the composition root of a process, never at import."""

from __future__ import annotations

from typing import TYPE_CHECKING

import redis
from dramatiq.middleware import Retries
from redis.backoff import NoBackoff
from redis.retry import Retry

from tasks.alerts.redis_content import quarantine_report
from tasks.guarded_broker import GuardedBroker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dramatiq.middleware import Middleware

    from tasks.alerts.reporter import Alerts

NAMESPACE = "partstream:jobs"
AUDIT_QUEUE = "audit"
WARMING_QUEUE = "warming"

# A call and its one repetition end within the time that a process has for stopping.
_SOCKET_TIMEOUT_SECONDS = 3.0
# A worker that is silent for so long is dead, and its unfinished jobs go back to their queue. A live one speaks
# several times a second.
_HEARTBEAT_TIMEOUT_MS = 10_000
# How many commands of a million also look for dead workers: at 20 commands/s one in 2.5 s does.
_MAINTENANCE_CHANCE = 20_000
# Failed jobs stay visible for a day; their entries are queued again from the log anyway.
_DEAD_MESSAGE_TTL_MS = 24 * 3600 * 1000
_MAX_RETRIES = 5
_MIN_BACKOFF_MS = 1_000
_MAX_BACKOFF_MS = 60_000


def open_broker(
    redis_url: str, *, middleware: Sequence[Middleware] = (), alerts: Alerts | None = None
) -> GuardedBroker:
    """A broker that connects when it is first used; ``middleware`` is added to retries.

    What is moved aside of its keys is logged, and reported to ``alerts``.
    """
    client = redis.Redis.from_url(
        redis_url,
        socket_timeout=_SOCKET_TIMEOUT_SECONDS,
        socket_connect_timeout=_SOCKET_TIMEOUT_SECONDS,
        # Once, at once: a connection that Redis closed while idle. Longer waits belong to the callers' own loops.
        retry=Retry(NoBackoff(), 1),
    )
    retries = Retries(max_retries=_MAX_RETRIES, min_backoff=_MIN_BACKOFF_MS, max_backoff=_MAX_BACKOFF_MS)
    return GuardedBroker(
        on_quarantine=quarantine_report(alerts, "jobs"),
        client=client,
        middleware=[retries, *middleware],
        namespace=NAMESPACE,
        heartbeat_timeout=_HEARTBEAT_TIMEOUT_MS,
        maintenance_chance=_MAINTENANCE_CHANCE,
        dead_message_ttl=_DEAD_MESSAGE_TTL_MS,
    )
