"""Every metric of the edge in one list; those of its followers are in ``follower_metrics``.

Labels have few values: never a part id, a user or an address.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

# A `_created` series doubles the series of every counter and histogram, and no rule or dashboard reads one.
disable_created_metrics()  # type: ignore[no-untyped-call]

# A page from memory takes about 1 ms, a write with its commit 2-20 ms.
_LATENCY_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

# Requests served, by route template (`/parts/{part_id}`), method and status.
REQUESTS: Final = Counter("partstream_edge_requests_total", "Responses sent.", ("method", "route", "status"))
# Time from the first byte of a request to the last of its response.
REQUEST_SECONDS: Final = Histogram(
    "partstream_edge_request_seconds", "Time from request to response.", ("method", "route"), buckets=_LATENCY_BUCKETS
)
# Requests being served now.
REQUESTS_IN_FLIGHT: Final = Gauge("partstream_edge_requests_in_flight", "Requests being served.")
# Requests rejected because too many were being served.
REQUESTS_SHED: Final = Counter("partstream_edge_requests_shed_total", "Requests refused for overload.")
# Requests that count towards a rate limit, by class (`reads`, `writes`, `reservations`, `sign_in`), role and outcome
# (`allowed`, `refused`).
RATE_LIMITED: Final = Counter(
    "partstream_edge_rate_limit_requests_total", "Requests counted by rate limits.", ("class", "role", "outcome")
)
# Requests whose body has not arrived completely.
BODIES_WAITING: Final = Gauge("partstream_edge_bodies_waiting", "Requests that wait for their body.")
# Connections closed to bound them: `body_timeout`, `replaced` by a newer one, `idle`.
CONNECTIONS_CLOSED: Final = Counter("partstream_edge_connections_closed_total", "Connections closed.", ("reason",))
# Calls to the services, by service, method and gRPC outcome (`OK` or the reason).
UPSTREAM_CALLS: Final = Counter("partstream_edge_upstream_calls_total", "gRPC calls.", ("service", "method", "outcome"))
# Time a call to a service took, retries included.
UPSTREAM_SECONDS: Final = Histogram(
    "partstream_edge_upstream_seconds", "Time of gRPC calls.", ("service", "method"), buckets=_LATENCY_BUCKETS
)
# Attempts after the first one.
UPSTREAM_RETRIES: Final = Counter("partstream_edge_upstream_retries_total", "gRPC calls sent again.", ("service",))
# Replicas of a service, and those that get no calls because they do not respond or do not serve.
REPLICAS: Final = Gauge("partstream_edge_replicas", "Replicas that calls go to.", ("service",))
REPLICAS_LEFT_OUT: Final = Gauge("partstream_edge_replicas_left_out", "Replicas that get no calls.", ("service",))
# Calls sent to another replica because the first did not respond.
UPSTREAM_FAILOVERS: Final = Counter(
    "partstream_edge_upstream_failovers_total", "Calls moved to another replica.", ("service",)
)
# How reads with a minimum revision were served: `followed` (memory had it), `read_through`.
REVISION_WAITS: Final = Counter("partstream_edge_revision_waits_total", "Reads with a least revision.", ("outcome",))
# Sign-ins, by outcome: `success`, `failure`, `locked`, `refreshed`, `reused`.
LOGINS: Final = Counter("partstream_edge_logins_total", "Attempts to sign in or refresh.", ("outcome",))
# Requests rejected for lack of a token or a permission, by reason.
DENIALS: Final = Counter("partstream_edge_denials_total", "Requests denied.", ("reason",))
# Audit jobs sent by this process while it was the dispatcher, by log.
AUDIT_JOBS_QUEUED: Final = Counter("partstream_edge_audit_jobs_queued_total", "Audit jobs queued.", ("log",))
# Restarts of the dispatcher at the position of the audit trail because jobs were lost or failed.
AUDIT_REQUEUES: Final = Counter("partstream_edge_audit_requeues_total", "Audit jobs queued again.", ("log",))
# Entries sent to the audit trail and not yet stored in it.
AUDIT_BEHIND: Final = Gauge("partstream_edge_audit_behind_entries", "Entries queued and not yet stored.", ("log",))
# Pages not warmed because too many were waiting or Redis was unavailable.
WARMING_DROPPED: Final = Counter("partstream_edge_warming_dropped_total", "Pages that were not warmed.")
# Reads by kind and by source: `memory`, `shared`, `stale`, `source`.
CACHE_READS: Final = Counter("partstream_edge_cache_reads_total", "Cache reads.", ("kind", "answered_by"))
# Values offered to a tier and not stored, because something newer had touched them.
CACHE_REFUSED: Final = Counter("partstream_edge_cache_refused_total", "Fills refused as too old.", ("tier",))
# Bytes and entries held in memory.
CACHE_MEMORY_BYTES: Final = Gauge("partstream_edge_cache_memory_bytes", "Bytes of cached values in memory.", ("kind",))
CACHE_MEMORY_ENTRIES: Final = Gauge("partstream_edge_cache_memory_entries", "Cached values in memory.", ("kind",))
# Log entries applied, by tier and log.
CACHE_APPLIED: Final = Counter("partstream_edge_cache_applied_total", "Log entries applied.", ("tier", "log"))
# Everything committed earlier has been applied here.
FOLLOWER_AGE: Final = Gauge("partstream_edge_follower_age_seconds", "Age of what the cache knows.", ("log",))
# 1 while the circuit breaker skips calls to Redis.
CACHE_SHARED_UNAVAILABLE: Final = Gauge("partstream_edge_cache_shared_away", "1 while Redis is unavailable.")
# Invalidations that wait for Redis.
CACHE_RETRIES_WAITING: Final = Gauge("partstream_edge_cache_retries_waiting", "Invalidations waiting for Redis.")
# Entries compared with the source, and those that differed at a revision where they must be equal.
CACHE_CHECKED: Final = Counter("partstream_edge_cache_checked_total", "Entries compared with the source.", ("tier",))
CACHE_INCONSISTENT: Final = Counter("partstream_edge_cache_inconsistent_total", "Entries unlike the source.", ("tier",))
# Share of the entries checked since the start that differed, 0 to 1.
CACHE_INCONSISTENCY_RATE: Final = Gauge(
    "partstream_edge_cache_inconsistency_rate", "Share of entries unlike the source."
)

# Open sockets, and subscriptions on them.
LIVE_SOCKETS: Final = Gauge("partstream_edge_live_sockets", "Open WebSockets.")
LIVE_SUBSCRIPTIONS: Final = Gauge("partstream_edge_live_subscriptions", "Live subscriptions.")
# Events by kind, frames sent, and events superseded before a slow client got them.
LIVE_EVENTS: Final = Counter("partstream_edge_live_events_total", "Events published.", ("kind",))
LIVE_FRAMES: Final = Counter("partstream_edge_live_frames_total", "Frames sent.")
LIVE_CONFLATED: Final = Counter("partstream_edge_live_conflated_total", "Events superseded before they were sent.")
# Closed sockets by close code.
LIVE_CLOSED: Final = Counter("partstream_edge_live_closed_total", "Sockets closed by us.", ("code",))
