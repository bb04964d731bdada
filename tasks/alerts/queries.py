"""Reads of alerts: pages, newest first."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal
from uuid import UUID

import msgspec

from tasks.alerts.sql import STATEMENTS

if TYPE_CHECKING:
    import asyncpg

AlertState = Literal["firing", "resolved"]


class AlertRow(msgspec.Struct, frozen=True, kw_only=True):
    """One alert; ``resolution`` says how it ended, and is empty while it is firing."""

    alert_id: UUID
    name: str
    subject: str
    state: AlertState
    severity: Literal["critical", "warning"]
    detail: str
    fired_at: datetime
    resolved_at: datetime | None
    resolution: str
    reporter: str


async def list_alerts(
    pool: asyncpg.Pool[asyncpg.Record],
    state: AlertState | None,
    after: tuple[datetime, UUID] | None,
    size: int,
) -> tuple[list[AlertRow], bool]:
    """Return up to ``size`` alerts that come after a key, newest first, and whether more follow."""
    fired_at, alert_id = after or (None, None)
    rows = await pool.fetch(STATEMENTS["list_alerts"], state, fired_at, alert_id, size + 1)
    return [AlertRow(**dict(row)) for row in rows[:size]], len(rows) > size
