"""One entry of a change log, as the database holds it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A committed change. ``before``, ``after`` and ``details`` are decoded JSON, ``None`` when absent."""

    revision: int
    epoch: UUID
    transaction_id: int
    entity: str
    entity_id: str
    version: int
    operation: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    details: dict[str, Any] | None
    actor: str
    actor_name: str
    source: str
    client_ip: str
    request_id: str
    traceparent: str
    reason: str
    committed_at: datetime
