"""A registered follower that lags too far blocks retention, and operators get a warning."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import psycopg

from changelog import maintenance
from chassis.channels import open_channel
from chassis.tokens import SERVICE_PERMISSIONS
from inventory_svc.settings import Settings
from partstream.changes.v1.change_log_service_pb2 import (
    GetLogStatusRequest,
    RegisterFollowerRequest,
    ReportPositionRequest,
)
from partstream.changes.v1.change_log_service_pb2_grpc import ChangeLogServiceStub
from partstream.inventory.v1.stock_service_pb2 import WatchStockRequest
from partstream.inventory.v1.stock_service_pb2_grpc import InventoryServiceStub
from tests.harness.small_partitions import make_small
from tests.inventory_svc import running as services
from tests.inventory_svc.running import ADMIN_ID

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    import pytest

LEVELS = (
    "INSERT INTO stock_level (part_id, location_id, on_hand) SELECT 'p' || n, 'main', 1 FROM generate_series(1, 300) n"
)


async def test_a_follower_that_lags_too_far_is_reported_until_it_catches_up(
    inventory_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(maintenance, "_INTERVAL_SECONDS", 0.05)
    monkeypatch.setattr(services, "Settings", lambda **given: Settings(**given, log_keep_bytes=1))
    with psycopg.connect(inventory_dsn, autocommit=True) as connection:
        connection.execute(make_small(256))
    async with services.running(inventory_dsn, tmp_path) as service:
        token = service.key.mint(subject=ADMIN_ID, name="audit", permissions=SERVICE_PERMISSIONS)
        async with open_channel([f"127.0.0.1:{service.app.server.port}"], token=lambda: token) as channel:
            log: Any = ChangeLogServiceStub(channel)

            async def status_when(held_by: str, oldest: int) -> Any:
                async with asyncio.timeout(20):
                    while True:
                        status = await log.GetLogStatus(GetLogStatusRequest())
                        if (status.held_by, status.oldest_revision) == (held_by, oldest):
                            return status
                        await asyncio.sleep(0.02)

            start = await log.GetLogStatus(GetLogStatusRequest())
            await log.RegisterFollower(RegisterFollowerRequest(name="audit", cursor=start.head_cursor))
            assert start.held_by == ""
            service.sql(LEVELS)

            held = await status_when("audit", 1)
            assert [(item.name, item.revision) for item in held.followers] == [("audit", start.head_revision)]
            assert "retention delayed by a follower log=inventory follower=audit revision=1" in caplog.text

            stub: Any = InventoryServiceStub(channel)
            watch = stub.WatchStock(WatchStockRequest(cursor=start.head_cursor, follower="audit"))
            while (await watch.read()).cursor != held.head_cursor:
                pass
            await log.ReportPosition(ReportPositionRequest(name="audit", cursor=held.head_cursor))
            await status_when("", 256)
