"""While the audit database accepts no writes, jobs wait, the position stays, and no entry is lost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from chassis.store_state import StoreState
from tasks.audit.queries import TrailPosition, position_of
from tasks.audit.recorder import Recorder
from tests.harness.store_conditions import Conditions
from tests.tasks.entries import EPOCH, batch

if TYPE_CHECKING:
    from chassis.database import Database
    from tasks.audit.store import AuditStore
    from tests.harness.servers import TestServers


@pytest.mark.parametrize(
    ("sqlstate", "cause"), [("53100", "disk_full"), ("25006", "read_only"), ("XX001", "corrupted")]
)
async def test_a_job_waits_until_the_database_accepts_writes(
    servers: TestServers, audit_dsn: str, audit: Database, store: AuditStore, sqlstate: str, cause: str
) -> None:
    """Five attempts within seconds, then the job was given up."""
    changed = asyncio.Event()
    state = StoreState("audit")
    state.on_change = changed.set
    recorder = Recorder(store, asyncio.Event(), state)
    await recorder.record(batch(1, 2))
    async with Conditions(servers.admin_dsn, audit_dsn).failing("data_change", sqlstate):
        waiting = asyncio.create_task(recorder.record(batch(3, 4)))
        async with asyncio.timeout(30):
            await changed.wait()
        assert state.cause == cause
        assert await position_of(audit.pool, "inventory") == TrailPosition(EPOCH, 2)
        assert not waiting.done()

    async with asyncio.timeout(30):
        await waiting

    assert await position_of(audit.pool, "inventory") == TrailPosition(EPOCH, 4)
