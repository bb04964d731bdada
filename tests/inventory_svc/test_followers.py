"""Followers: registered with a permission, never beyond the entries sent, and dropped after a long absence."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from changelog import cursor as cursors
from changelog import follower_registry, maintenance
from changelog.metrics import FOLLOWERS_INACTIVE
from chassis import errors
from chassis.channels import open_channel
from inventory_svc.settings import Settings
from partstream.changes.v1 import change_log_service_pb2 as messages
from partstream.changes.v1.change_log_service_pb2_grpc import ChangeLogServiceStub
from partstream.inventory.v1 import stock_service_pb2 as pb
from partstream.inventory.v1.stock_service_pb2_grpc import InventoryServiceStub
from tests.harness.small_partitions import make_small
from tests.inventory_svc import running as services
from tests.inventory_svc.running import ADMIN_ID, Running, refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

FOLLOWER = frozenset({"followers:write", "changes:read", "stock:read"})
AUDITOR = frozenset({"changes:read", "stock:read", "audit:read"})


@asynccontextmanager
async def log_of(service: Running, permissions: frozenset[str] = FOLLOWER) -> AsyncIterator[tuple[Any, Any]]:
    """The log's service and the inventory, as a caller with these permissions."""
    token = service.key.mint(subject=ADMIN_ID, name="warehouse", permissions=permissions)
    async with open_channel([f"127.0.0.1:{service.app.server.port}"], token=lambda: token) as channel:
        yield ChangeLogServiceStub(channel), InventoryServiceStub(channel)


async def head(log: Any) -> str:
    cursor: str = (await log.GetLogStatus(messages.GetLogStatusRequest())).head_cursor
    return cursor


async def test_an_auditor_cannot_report_a_position(inventory: Running) -> None:
    """Any reader of changes could move the position of the audit trail, or stop retention under 202 names."""
    async with log_of(inventory, AUDITOR) as (log, stub):
        for call in (
            log.RegisterFollower(messages.RegisterFollowerRequest(name="mine")),
            log.ReportPosition(messages.ReportPositionRequest(name="audit", cursor=await head(log))),
            log.RemoveFollower(messages.RemoveFollowerRequest(name="audit")),
            stub.WatchStock(pb.WatchStockRequest(follower="audit")).read(),
        ):
            assert type(await refusal(call)) is errors.PermissionMissing


async def test_a_name_that_is_not_registered_is_refused(inventory: Running) -> None:
    async with log_of(inventory) as (log, stub):
        cursor = await head(log)
        for call in (
            log.ReportPosition(messages.ReportPositionRequest(name="stranger", cursor=cursor)),
            log.RemoveFollower(messages.RemoveFollowerRequest(name="stranger")),
            stub.WatchStock(pb.WatchStockRequest(follower="stranger")).read(),
        ):
            assert type(await refusal(call)) is errors.FollowerNotFound


async def test_a_position_never_lies_beyond_what_was_sent(inventory: Running) -> None:
    async with log_of(inventory) as (log, stub):
        start = await head(log)
        await log.RegisterFollower(messages.RegisterFollowerRequest(name="mine", cursor=start))
        await inventory.have(5)
        newest = messages.ReportPositionRequest(name="mine", cursor=await head(log))

        refused = await refusal(log.ReportPosition(newest))
        watch = stub.WatchStock(pb.WatchStockRequest(cursor=start, follower="mine"))
        sent = [await watch.read(), await watch.read()][-1]
        await log.ReportPosition(messages.ReportPositionRequest(name="mine", cursor=sent.cursor))

        assert type(refused) is errors.PositionNotSent
        (mine,) = (await log.ListFollowers(messages.ListFollowersRequest())).followers
        position = cursors.position_in(sent.cursor, "inventory")
        assert position is not None
        assert (mine.revision, mine.sent_revision) == (position.revision, position.revision)
        assert (mine.name, mine.registered_by, mine.inactive) == ("mine", "warehouse", False)
        watch.cancel()


async def test_a_report_to_a_service_that_did_not_send_counts_once_the_other_has_stored_it(inventory: Running) -> None:
    async with log_of(inventory) as (log, stub):
        await log.RegisterFollower(messages.RegisterFollowerRequest(name="mine"))
        await inventory.have(5)
        cursor = await head(log)
        watch = stub.WatchStock(pb.WatchStockRequest(cursor=cursor, follower="mine"))
        await watch.read()
        registry = inventory.app.feed.followers
        assert registry is not None
        await registry.run_once()
        registry._sent.clear()  # as another replica, which knows what is stored

        await log.ReportPosition(messages.ReportPositionRequest(name="mine", cursor=cursor))
        watch.cancel()


async def test_registering_again_without_a_cursor_changes_nothing_and_with_one_starts_there(inventory: Running) -> None:
    async with log_of(inventory) as (log, _):
        await inventory.have(5)
        cursor = await head(log)
        await log.RegisterFollower(messages.RegisterFollowerRequest(name="mine", cursor=cursor))
        first = (await log.RegisterFollower(messages.RegisterFollowerRequest(name="mine"))).follower.revision

        position = cursors.position_in(cursor, "inventory")
        assert position is not None
        begin = cursors.encode(cursors.Position("inventory", position.epoch, 1))
        again = (await log.RegisterFollower(messages.RegisterFollowerRequest(name="mine", cursor=begin))).follower
        beyond = cursors.encode(cursors.Position("inventory", position.epoch, position.revision + 1))

        assert (first, again.revision) == (position.revision, 1)
        request = messages.RegisterFollowerRequest(name="mine", cursor=beyond)
        assert type(await refusal(log.RegisterFollower(request))) is errors.CursorFromFuture


async def test_followers_are_bounded(inventory: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower_registry, "MOST_FOLLOWERS", 2)
    async with log_of(inventory) as (log, _):
        for name in ("a", "b"):
            await log.RegisterFollower(messages.RegisterFollowerRequest(name=name))

        refused = await refusal(log.RegisterFollower(messages.RegisterFollowerRequest(name="c")))
        await log.RemoveFollower(messages.RemoveFollowerRequest(name="a"))
        await log.RegisterFollower(messages.RegisterFollowerRequest(name="c"))

        assert type(refused) is errors.Overloaded


async def test_a_follower_that_stays_away_holds_retention_to_a_bound_only(
    inventory_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(maintenance, "_INTERVAL_SECONDS", 3600.0)
    monkeypatch.setattr(services, "Settings", lambda **given: Settings(**given, log_keep_bytes=1))
    with psycopg.connect(inventory_dsn, autocommit=True) as connection:
        connection.execute(make_small(256))
    async with services.running(inventory_dsn, tmp_path) as service, log_of(service) as (log, _):
        await log.RegisterFollower(messages.RegisterFollowerRequest(name="gone"))
        service.sql(
            "INSERT INTO stock_level (part_id, location_id, on_hand) "
            "SELECT 'p' || n, 'main', 1 FROM generate_series(1, 300) n"
        )
        upkeep = service.app._log._maintenance
        await upkeep.run_once()
        held = (upkeep.held_by, (await log.GetLogStatus(messages.GetLogStatusRequest())).oldest_revision)

        service.sql("UPDATE change_log_follower SET reported_at = now() - interval '8 days'")
        await upkeep.run_once()

        status = await log.GetLogStatus(messages.GetLogStatusRequest())
        assert held == ("gone", 1)
        assert (status.held_by, status.oldest_revision, status.followers[0].inactive) == ("", 256, True)
        assert "follower inactive, retention no longer waits for it log=inventory follower=gone" in caplog.text
        assert "entries dropped that inactive followers have not read log=inventory followers=gone" in caplog.text
        assert FOLLOWERS_INACTIVE.labels("inventory")._value.get() == 1
