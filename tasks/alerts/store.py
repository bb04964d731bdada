"""Alerts in the edge's database, over one connection that is opened when it is needed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import asyncpg

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from tasks.alerts.definitions import Severity

# A firing alert that was not renewed for so long is of a process that ended: four missed renewals.
LEASE: Final = timedelta(seconds=60)
KEEP_RESOLVED: Final = timedelta(days=90)

# Store an episode as it is now; the second time changes only what may change, so that a retry is harmless.
STORE: Final = """
INSERT INTO alert (alert_id, name, subject, reporter, severity, detail, state, fired_at, resolved_at, resolution)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (alert_id) DO UPDATE SET state = excluded.state, detail = excluded.detail,
    resolved_at = excluded.resolved_at, resolution = excluded.resolution, last_seen_at = now()
"""

# Resolve what other processes fired and no longer renew.
RESOLVE_LAPSED: Final = """
UPDATE alert SET state = 'resolved', resolved_at = now(), resolution = 'no longer reported'
WHERE state = 'firing' AND last_seen_at < now() - $1::interval AND reporter <> $2
RETURNING name, subject, reporter
"""

# Delete alerts that ended long ago.
DELETE_OLD: Final = "DELETE FROM alert WHERE state = 'resolved' AND resolved_at < now() - $1::interval"


@dataclass(slots=True)
class Episode:
    """One alert from its firing to its resolution, as its reporter knows it."""

    alert_id: UUID
    name: str
    subject: str
    severity: Severity
    detail: str
    fired_at: datetime
    resolved_at: datetime | None = None
    resolution: str = ""
    ends_at: float | None = None  # of one that resolves by itself, by the monotonic clock


class AlertStore:
    """Writes episodes; every method raises a driver error while the database is unavailable."""

    def __init__(self, dsn: str) -> None:
        """Write to the edge's database; nothing is opened yet."""
        self._dsn = dsn
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None

    async def store(self, reporter: str, episodes: Sequence[Episode]) -> None:
        """Store episodes as they are now, in their order."""
        arguments = [
            (
                one.alert_id,
                one.name,
                one.subject,
                reporter,
                one.severity,
                one.detail,
                "firing" if one.resolved_at is None else "resolved",
                one.fired_at,
                one.resolved_at,
                one.resolution,
            )
            for one in episodes
        ]
        await (await self._connected()).executemany(STORE, arguments)

    async def resolve_lapsed(self, reporter: str) -> list[tuple[str, str, str]]:
        """Resolve alerts whose other reporter has ended; return name, subject and reporter of each."""
        rows = await (await self._connected()).fetch(RESOLVE_LAPSED, LEASE, reporter)
        return [(row["name"], row["subject"], row["reporter"]) for row in rows]

    async def delete_old(self) -> None:
        """Delete what was resolved long ago."""
        await (await self._connected()).execute(DELETE_OLD, KEEP_RESOLVED)

    def close(self) -> None:
        """Close the connection; the next call opens another one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def _connected(self) -> asyncpg.Connection[asyncpg.Record]:
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(
                self._dsn, timeout=5, command_timeout=5, server_settings={"application_name": "partstream-alerts"}
            )
        return self._connection
