"""Security events: who signed in, was refused, or had a session ended. Written, never changed."""

from __future__ import annotations

import logging
import uuid
from typing import TYPE_CHECKING, Final

import msgspec

from chassis.caller import ANONYMOUS
from chassis.database import CONNECTION_LOST
from edge.exchange import current_exchange

if TYPE_CHECKING:
    from chassis.caller import Caller
    from chassis.database import Database

logger = logging.getLogger("edge.security")

# Append one event.
INSERT_EVENT: Final = """
INSERT INTO security_event (kind, user_id, username, session_id, client_ip, request_id, details)
VALUES ($1, $2, $3, $4, $5, $6, $7::text::jsonb)
"""


class SecurityEvents:
    """The trail of security events."""

    def __init__(self, database: Database) -> None:
        """Write to the edge's database."""
        self._database = database

    async def record(
        self, kind: str, *, caller: Caller = ANONYMOUS, username: str = "", details: dict[str, str] | None = None
    ) -> None:
        """Append an event. When the database is away it is logged instead: a refusal is not turned into a failure."""
        exchange = current_exchange()
        name = username or ("" if caller.is_anonymous else caller.username)
        logger.info(kind, extra={"username": name, "client_ip": exchange.client_ip, **(details or {})})
        try:
            await self._database.pool.execute(
                INSERT_EVENT,
                kind,
                None if caller.is_anonymous else uuid.UUID(caller.user_id),
                name,
                _uuid(caller.session_id),
                exchange.client_ip,
                exchange.request_id,
                msgspec.json.encode(details or {}).decode(),
            )
        except CONNECTION_LOST:
            logger.warning("security event not stored: the database is away", extra={"kind": kind, "username": name})


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
