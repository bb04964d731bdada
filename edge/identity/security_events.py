"""Security events: sign-ins, denials, changes of accounts and sessions. Append-only, and deleted after a time.

Texts in them come from clients: they are normalised, escaped and shortened.
"""

from __future__ import annotations

import logging
import unicodedata
import uuid
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

from chassis.caller import ANONYMOUS
from chassis.database import new_row
from chassis.logs import visible
from chassis.store_errors import STORE_FAILURES, translated
from edge.http.request_context import current_request_context
from edge.identity import tables
from edge.identity.repeated_events import EventRow, RepeatedEvents

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chassis.caller import Caller
    from chassis.database import Database, Row

MOST_NAME: Final = 64  # characters, as of a user's name
MOST_DETAIL: Final = 200

logger = logging.getLogger("edge.security")


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
    # Equal events of one minute are one item: their number, and the time of the last.
    count: int
    last_at: datetime


def bounded(text: str, most: int) -> str:
    """Return a text of a client in NFKC, with control characters escaped, and at most ``most`` characters of it."""
    return visible(unicodedata.normalize("NFKC", text[: 4 * most]))[:most]


class SecurityEvents:
    """The trail of security events."""

    def __init__(self, database: Database, facts: Mapping[str, str] | None = None) -> None:
        """Write to the edge's database; ``facts`` become part of the details of every event."""
        self._database = database
        self._facts = dict(facts or {})
        self.repeated = RepeatedEvents(database)

    async def record(
        self, kind: str, *, caller: Caller = ANONYMOUS, username: str = "", details: dict[str, str] | None = None
    ) -> None:
        """Insert an event. While the database is unavailable it is only logged, so that a denial stays a denial."""
        row, facts = self._row(kind, caller, username, details)
        _log(row, facts)
        try:
            await self._database.run(tables.SecurityEvent.insert(new_row(tables.SecurityEvent, **asdict(row))))
        except STORE_FAILURES as error:
            if translated(error) is None:
                raise
            logger.warning("security event not stored", extra={"kind": kind, "error": repr(error)})

    async def count(
        self,
        kind: str,
        *,
        alike: str,
        caller: Caller = ANONYMOUS,
        username: str = "",
        details: dict[str, str] | None = None,
    ) -> None:
        """Count an event that any client can cause any number of times; see ``RepeatedEvents``."""
        row, facts = self._row(kind, caller, username, details)
        if await self.repeated.add(row, alike):
            _log(row, facts)

    def _row(
        self, kind: str, caller: Caller, username: str, details: dict[str, str] | None
    ) -> tuple[EventRow, dict[str, str]]:
        context = current_request_context()
        name = username or ("" if caller.is_anonymous else caller.username)
        facts = {**(details or {}), **self._facts}
        facts = {key: bounded(text, MOST_DETAIL) for key, text in facts.items()}
        row = EventRow(
            kind,
            None if caller.is_anonymous else uuid.UUID(caller.user_id),
            bounded(name, MOST_NAME),
            _uuid(caller.session_id),
            context.client_ip,
            context.request_id,
            msgspec.json.encode(facts).decode(),
        )
        return row, facts

    async def page(
        self, *, kind: str | None, username: str | None, before: int | None, size: int
    ) -> tuple[list[SecurityEvent], bool]:
        """Return up to ``size`` events before an id, newest first, and whether more follow."""
        event = tables.SecurityEvent
        query = event.select().order_by(event.security_event_id, ascending=False).limit(size + 1)
        if kind is not None:
            query = query.where(event.kind == kind)
        if username is not None:
            query = query.where(event.username == username)
        if before is not None:
            query = query.where(event.security_event_id < before)
        rows = await self._database.run(query)
        return [_shown(row) for row in rows[:size]], len(rows) > size


def _shown(row: Row) -> SecurityEvent:
    return SecurityEvent(
        event_id=row["security_event_id"],
        occurred_at=row["occurred_at"],
        kind=row["kind"],
        user_id=row["user_id"],
        username=row["username"],
        session_id=row["session_id"],
        client_ip=row["client_ip"],
        request_id=row["request_id"],
        details=msgspec.json.decode(row["details"]),
        count=row["occurrences"],
        last_at=row["last_at"] or row["occurred_at"],
    )


def _log(row: EventRow, facts: Mapping[str, str]) -> None:
    logger.info(row.kind, extra={"username": row.username, "client_ip": row.client_ip, **facts})


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
