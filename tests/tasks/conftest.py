"""Fixtures of background work: the audit database open."""

from collections.abc import AsyncIterator

import pytest

from chassis.database import Database
from tasks.audit.store import AuditStore


@pytest.fixture
async def audit(audit_dsn: str) -> AsyncIterator[Database]:
    """A fresh, migrated audit database."""
    database = await Database.open(audit_dsn, application_name="test")
    yield database
    await database.close()


@pytest.fixture
def store(audit: Database) -> AuditStore:
    return AuditStore(audit.pool)
