"""A worker that cannot store the audit trail is not healthy; a short outage of Redis only degrades it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from chassis.errors import StoreUnavailable
from tasks import dependencies
from tasks.audit.recorder import Recorder
from tasks.audit.store import AuditStore
from tasks.dependencies import Dependencies
from tasks.redis_presence import RedisPresence
from tests.tasks.entries import batch

if TYPE_CHECKING:
    from chassis.database import Database

READ_ONLY = "ALTER TABLE data_change RENAME TO hidden"
WRITABLE = "ALTER TABLE hidden RENAME TO data_change"


@pytest.fixture
async def worker(audit: Database) -> Dependencies:

    made = Dependencies()
    made.database, made.redis = audit, RedisPresence()
    made.recorder = Recorder(AuditStore(audit.pool), asyncio.Event())
    return made


async def test_a_worker_is_down_while_rows_cannot_be_stored(worker: Dependencies, audit: Database) -> None:
    recorder = worker.recorder
    assert recorder is not None
    assert (await worker.health()).status == "ok"

    await audit.pool.execute(READ_ONLY)
    with pytest.raises(Exception, match="data_change"):
        await recorder.record(batch(1, 2))
    health = await worker.health()
    assert (health.status, health.checks["audit-trail"].detail) == ("down", "UndefinedTableError")
    assert health.checks["database"].status == "ok"

    await audit.pool.execute(WRITABLE)
    await recorder.record(batch(1, 2))
    assert (await worker.health()).status == "ok"


async def test_only_a_long_outage_of_redis_is_down(worker: Dependencies, monkeypatch: pytest.MonkeyPatch) -> None:
    presence = worker.redis
    assert presence is not None
    presence.lost(StoreUnavailable("unavailable"))
    assert (await worker.health()).status == "degraded"

    monkeypatch.setattr(dependencies, "REDIS_SECONDS", 0.0)
    assert (await worker.health()).status == "down"

    presence.found()
    assert (await worker.health()).status == "ok"


async def test_a_worker_without_its_database_is_down(worker: Dependencies, audit: Database) -> None:
    await audit.close()

    assert (await worker.health()).status == "down"
