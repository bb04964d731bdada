"""A trail that is behind and does not advance is an alert until it is complete again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import pytest

from changelog.cursor import Position
from edge.audit_dispatch.trail import STALLED_ALERT, AuditWatch
from tasks.alerts.reporter import Alerts
from tasks.audit.store import AuditStore
from tests.harness.tcp_proxy import proxy_to
from tests.tasks.alerts.test_reporter import through
from tests.tasks.entries import EPOCH, NEXT_EPOCH, batch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chassis.database import Database
    from tests.harness.tcp_proxy import TcpProxy


class Log:
    """What a process has seen of the inventory log."""

    def __init__(self) -> None:
        self.seen: Position | None = None

    def position(self, name: str) -> Position | None:
        return self.seen if name == "inventory" else None


@pytest.fixture
async def proxy(audit_dsn: str) -> AsyncIterator[TcpProxy]:
    """A proxy to the audit database, whose connections a test can close."""
    port = int(audit_dsn.rpartition(":")[2].partition("/")[0])
    async with proxy_to(port) as made:
        yield made


async def test_the_alert_fires_while_the_trail_lags_and_does_not_advance(trail: Database) -> None:
    alerts, log, store = Alerts("test"), Log(), AuditStore(trail.pool)
    default_watch = AuditWatch(trail.pool, log.position, ["inventory", "content"], alerts)
    watch = AuditWatch(trail.pool, log.position, ["inventory", "content"], alerts, stalled_seconds=0.0)

    await watch.run_once()
    assert alerts.firing(STALLED_ALERT) == []
    log.seen = Position("inventory", EPOCH, 2)
    await default_watch.run_once()
    assert alerts.firing(STALLED_ALERT) == []
    await watch.run_once()
    assert alerts.firing(STALLED_ALERT) == ["inventory"]
    await store.record(batch(1, 2))
    await watch.run_once()
    assert alerts.firing(STALLED_ALERT) == []
    log.seen = Position("inventory", NEXT_EPOCH, 2)
    await watch.run_once()
    await watch.run_once()
    assert alerts.firing(STALLED_ALERT) == ["inventory"]
    await alerts.stop()


async def test_the_alert_fires_when_the_audit_database_is_unavailable(audit_dsn: str, proxy: TcpProxy) -> None:
    alerts, log = Alerts("test"), Log()
    log.seen = Position("inventory", EPOCH, 0)
    opened = await asyncpg.create_pool(through(proxy, audit_dsn), min_size=1, max_size=1, timeout=5)
    watch = AuditWatch(opened, log.position, ["inventory"], alerts, stalled_seconds=0.0)
    await watch.run_once()
    assert alerts.firing(STALLED_ALERT) == []

    proxy.cut()
    await watch.run_once()
    assert alerts.firing(STALLED_ALERT) == ["inventory"]

    proxy.heal()
    async with asyncio.timeout(30):
        while alerts.firing(STALLED_ALERT):
            await watch.run_once()
    await opened.close()
    await alerts.stop()
