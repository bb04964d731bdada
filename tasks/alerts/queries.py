"""Reading alerts: pages of them, newest first."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal
from uuid import UUID

import msgspec

if TYPE_CHECKING:
    import asyncpg

AlertState = Literal["firing", "resolved"]

# A page, newest first; NULL leaves a condition out.
PAGE: Final = """
SELECT alert_id, name, subject, state, severity, detail, fired_at, resolved_at, resolution, reporter
FROM alert
WHERE ($1::text IS NULL OR state = $1) AND ($2::timestamptz IS NULL OR (fired_at, alert_id) < ($2, $3::uuid))
ORDER BY fired_at DESC, alert_id DESC LIMIT $4
"""


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
    rows = await pool.fetch(PAGE, state, fired_at, alert_id, size + 1)
    return [AlertRow(**dict(row)) for row in rows[:size]], len(rows) > size
