"""Security events: who signed in, was refused, or had a session ended. Written, never changed."""

from __future__ import annotations

import logging
import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

from chassis.caller import ANONYMOUS
from chassis.store_errors import STORE_FAILURES, translated
from edge.exchange import current_exchange

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chassis.caller import Caller
    from chassis.database import Database

logger = logging.getLogger("edge.security")

# Append one event.
INSERT_EVENT: Final = """
INSERT INTO security_event (kind, user_id, username, session_id, client_ip, request_id, details)
VALUES ($1, $2, $3, $4, $5, $6, $7::text::jsonb)
"""


# A page of events, newest first; NULL leaves a condition out.
SELECT_EVENTS: Final = """
SELECT security_event_id, occurred_at, kind, user_id, username, session_id, client_ip, request_id, details
FROM security_event
WHERE ($1::text IS NULL OR kind = $1) AND ($2::text IS NULL OR username = $2)
    AND ($3::bigint IS NULL OR security_event_id < $3)
ORDER BY security_event_id DESC LIMIT $4
"""


class SecurityEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event, as ``GET /admin/security-events`` shows it."""

    event_id: int
    occurred_at: datetime
    kind: str
    user_id: uuid.UUID | None
    username: str
    session_id: uuid.UUID | None
    client_ip: str
    request_id: str
    details: dict[str, str]


class SecurityEvents:
    """The trail of security events."""

    def __init__(self, database: Database, facts: Mapping[str, str] | None = None) -> None:
        """Write to the edge's database; ``facts`` become part of the details of every event."""
        self._database = database
        self._facts = dict(facts or {})

    async def record(
        self, kind: str, *, caller: Caller = ANONYMOUS, username: str = "", details: dict[str, str] | None = None
    ) -> None:
        """Append an event. When the database is away it is logged instead: a refusal is not turned into a failure."""
        exchange = current_exchange()
        name = username or ("" if caller.is_anonymous else caller.username)
        details = {**(details or {}), **self._facts}
        logger.info(kind, extra={"username": name, "client_ip": exchange.client_ip, **details})
        try:
            await self._database.pool.execute(
                INSERT_EVENT,
                kind,
                None if caller.is_anonymous else uuid.UUID(caller.user_id),
                name,
                _uuid(caller.session_id),
                exchange.client_ip,
                exchange.request_id,
                # A refused request is recorded before its text is checked, and PostgreSQL stores no NUL.
                msgspec.json.encode(details).decode().replace("\\u0000", "\N{REPLACEMENT CHARACTER}"),
            )
        except STORE_FAILURES as error:
            if translated(error) is None:
                raise
            logger.warning("security event not stored", extra={"kind": kind, "username": name, "error": repr(error)})

    async def page(
        self, *, kind: str | None, username: str | None, before: int | None, size: int
    ) -> tuple[list[SecurityEvent], bool]:
        """Return up to ``size`` events before an id, newest first, and whether more follow."""
        rows = await self._database.pool.fetch(SELECT_EVENTS, kind, username, before, size + 1)
        events = [
            SecurityEvent(
                event_id=row["security_event_id"],
                occurred_at=row["occurred_at"],
                kind=row["kind"],
                user_id=row["user_id"],
                username=row["username"],
                session_id=row["session_id"],
                client_ip=row["client_ip"],
                request_id=row["request_id"],
                details=msgspec.json.decode(row["details"]),
            )
            for row in rows[:size]
        ]
        return events, len(rows) > size


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
