"""Every metric of the cache and of live delivery, in one list. Labels have few values: never a part id or a user."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge

# Reads by kind and by where they were answered: `memory`, `shared`, `stale`, `source`.
READS: Final = Counter("partstream_edge_cache_reads_total", "Cache reads.", ("kind", "answered_by"))
# Values offered to a tier and not kept, because something newer had touched them.
REFUSED: Final = Counter("partstream_edge_cache_refused_total", "Fills refused as too old.", ("tier",))
# Bytes and entries held in memory.
MEMORY_BYTES: Final = Gauge("partstream_edge_cache_memory_bytes", "Bytes of cached values in memory.", ("kind",))
MEMORY_ENTRIES: Final = Gauge("partstream_edge_cache_memory_entries", "Cached values in memory.", ("kind",))
# Log entries applied, by tier and log.
APPLIED: Final = Counter("partstream_edge_cache_applied_total", "Log entries applied.", ("tier", "log"))
# Seconds since the service's stream last said anything.
FRESHNESS: Final = Gauge("partstream_edge_follower_silence_seconds", "Time since the last message.", ("log",))
# 1 while Redis is not asked because it failed.
SHARED_AWAY: Final = Gauge("partstream_edge_cache_shared_away", "1 while the shared tier is away.")
# Invalidations that wait for Redis to come back.
RETRIES_WAITING: Final = Gauge("partstream_edge_cache_retries_waiting", "Invalidations waiting for Redis.")
# Entries compared with the source, and those found different at a revision where they must agree.
CHECKED: Final = Counter("partstream_edge_cache_checked_total", "Entries compared with the source.", ("tier",))
INCONSISTENT: Final = Counter("partstream_edge_cache_inconsistent_total", "Entries unlike the source.", ("tier",))

# Open sockets, and subscriptions on them.
SOCKETS: Final = Gauge("partstream_edge_live_sockets", "Open WebSockets.")
SUBSCRIPTIONS: Final = Gauge("partstream_edge_live_subscriptions", "Live subscriptions.")
# Events by kind, frames sent, and events superseded before a slow client got them.
EVENTS: Final = Counter("partstream_edge_live_events_total", "Events published.", ("kind",))
FRAMES: Final = Counter("partstream_edge_live_frames_total", "Frames sent.", ("type",))
CONFLATED: Final = Counter("partstream_edge_live_conflated_total", "Events superseded before they were sent.")
# Closed sockets by close code.
CLOSED: Final = Counter("partstream_edge_live_closed_total", "Sockets closed by us.", ("code",))
