"""Alerts in the edge's database, over one connection that is opened when it is needed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import asyncpg

from tasks.alerts.sql import STATEMENTS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from tasks.alerts.definitions import Severity

# A firing alert that was not renewed for so long is of a process that ended: four missed renewals.
LEASE: Final = timedelta(seconds=60)
KEEP_RESOLVED: Final = timedelta(days=90)


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
        await (await self._connected()).executemany(STATEMENTS["store_alert"], arguments)

    async def resolve_lapsed(self, reporter: str) -> list[tuple[str, str, str]]:
        """Resolve alerts whose other reporter has ended; return name, subject and reporter of each."""
        rows = await (await self._connected()).fetch(STATEMENTS["resolve_lapsed_alerts"], LEASE, reporter)
        return [(row["name"], row["subject"], row["reporter"]) for row in rows]

    async def delete_old(self) -> None:
        """Delete what was resolved long ago."""
        await (await self._connected()).execute(STATEMENTS["delete_old_alerts"], KEEP_RESOLVED)

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
