"""Every alert: its severity, what it means and what to do. One that is not defined here cannot be fired."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Severity = Literal["critical", "warning"]


@dataclass(frozen=True, slots=True)
class AlertDefinition:
    """``critical``: facts are delayed or clients see errors; ``warning``: look at it within a day."""

    severity: Severity
    meaning: str
    action: str


ALERTS: Final[dict[str, AlertDefinition]] = {
    "redis_files_quarantined": AlertDefinition(
        "warning",
        "Redis could not read its files. They were moved to a folder beside it, and it was started empty.",
        "Nothing is lost: caches fill and jobs are queued again. Look for the cause (a full disk?), then delete the "
        "folder.",
    ),
    "redis_key_quarantined": AlertDefinition(
        "warning",
        "A Redis key held another type or content than the product writes. It was moved to another key, where it "
        "expires after a day.",
        "Find out which other program writes to this Redis; give it a server or a database of its own.",
    ),
    "database_unavailable": AlertDefinition(
        "critical",
        "A database cannot be reached. Reads come from caches for a bounded time; writes are refused with 503.",
        "Start the server, or see why it does not respond. Everything resumes by itself.",
    ),
    "database_writes_failing": AlertDefinition(
        "critical",
        "A database serves reads and refuses writes: it is read-only, full, or out of another resource.",
        "Remove the cause that the detail or the log of the service names. Writes work again by themselves.",
    ),
    "replica_left_out": AlertDefinition(
        "warning",
        "A replica of a service does not respond or does not serve; calls go to the others.",
        "See why: a stopped or blocked process, a machine that is gone. It is used again once it responds.",
    ),
    "process_unresponsive": AlertDefinition(
        "warning",
        "A process did not respond to its liveness probe for 10 s; the supervisor ended it and starts it again.",
        "Look into its log for what it was doing; PARTSTREAM_UNRESPONSIVE_SECONDS=0 keeps one for a debugger.",
    ),
    "audit_trail_stalled": AlertDefinition(
        "critical",
        "The audit trail is behind the change logs and does not advance.",
        "See the detail and the log of the worker: Redis, the worker or the audit database is unavailable. Entries "
        "wait in the change logs and are stored afterwards.",
    ),
    "retention_held": AlertDefinition(
        "warning",
        "Entries of a change log are due to be dropped, but a registered follower has not read them.",
        "See why the follower does not advance, or remove it: DELETE /api/v1/admin/followers/{service}/{name}.",
    ),
}
