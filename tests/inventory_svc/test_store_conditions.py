"""A database that is read-only, full, locked or slow: each call says so, nothing is logged twice, and it passes."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from chassis.errors import DeadlinePassed, Overloaded, PartstreamError, StoreUnavailable
from chassis.server import WRITES_SUFFIX
from inventory_svc.app import SERVICE
from partstream.inventory.v1 import stock_service_pb2 as pb
from tests.harness.store_conditions import Conditions
from tests.inventory_svc.running import Running, refusal, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.harness.servers import TestServers

SERVING = health_pb2.HealthCheckResponse.SERVING
LOCK_TABLE = b"LOCK TABLE stock_level IN ACCESS EXCLUSIVE MODE"


@pytest.fixture
async def service(inventory_dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(inventory_dsn, tmp_path) as started:
        yield started


@pytest.fixture
def conditions(servers: TestServers, inventory_dsn: str) -> Conditions:
    return Conditions(servers.admin_dsn, inventory_dsn)


def adjust(service: Running, part_id: str) -> Any:
    return service.staff.AdjustStock(pb.AdjustStockRequest(part_id=part_id, delta=1, reason="test"), timeout=10)


async def until_accepted(service: Running, part_id: str) -> None:
    """Write until it works; every refusal until then is one that says to retry."""
    async with asyncio.timeout(60):
        while True:
            try:
                await adjust(service, part_id)
            except grpc.aio.AioRpcError as error:
                if error.code() not in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED}:
                    raise
                await asyncio.sleep(0.05)
            else:
                return


async def serves(service: Running, name: str) -> bool:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{service.app.server.port}") as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        return bool((await check(health_pb2.HealthCheckRequest(service=name))).status == SERVING)


async def until_writes_serve(service: Running, *, wanted: bool) -> None:
    async with asyncio.timeout(30):
        while await serves(service, SERVICE + WRITES_SUFFIX) is not wanted:  # noqa: ASYNC110 - it is asked over the wire
            await asyncio.sleep(0.05)


def lines(caplog: pytest.LogCaptureFixture, text: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if text in record.getMessage()]


def no_traces(caplog: pytest.LogCaptureFixture) -> bool:
    return not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_a_read_only_database_refuses_writes_serves_reads_and_recovers_by_itself(
    service: Running, conditions: Conditions, caplog: pytest.LogCaptureFixture
) -> None:
    """Sessions that began while it was read-only stayed so: only a restart of the service helped."""
    caplog.set_level(logging.INFO)
    part_id = await service.have(1)
    with conditions.read_only():
        errors = [await refusal(adjust(service, part_id)) for _ in range(5)]
        level = await service.level(part_id)
        await until_writes_serve(service, wanted=False)
        health = await service.app.health()
        assert await serves(service, SERVICE)

    await until_accepted(service, part_id)
    await until_writes_serve(service, wanted=True)

    assert {(type(error), error.metadata["cause"]) for error in errors} <= {
        (StoreUnavailable, "read_only"),
        (StoreUnavailable, "unavailable"),  # the sessions had just been ended
    }
    assert errors[-1].metadata["cause"] == "read_only"
    assert errors[-1].retry_after_seconds
    assert level.on_hand == 1
    assert (health.status, health.checks["writes"].status) == ("degraded", "degraded")
    assert len(lines(caplog, "cause=read_only")) == 2  # when it began and when it ended
    assert no_traces(caplog)
    service.check_books()


@pytest.mark.parametrize(
    ("sqlstate", "kind", "cause"),
    [
        ("53100", StoreUnavailable, "disk_full"),
        ("53200", StoreUnavailable, "out_of_memory"),
        ("58030", StoreUnavailable, "io_error"),
        ("XX001", StoreUnavailable, "corrupted"),
        ("XX000", StoreUnavailable, "database_fault"),
        ("57014", DeadlinePassed, "statement_timeout"),
        ("40001", Overloaded, "conflict"),
    ],
)
async def test_each_failure_of_the_database_is_reported_as_what_it_is(
    service: Running,
    conditions: Conditions,
    caplog: pytest.LogCaptureFixture,
    sqlstate: str,
    kind: type[PartstreamError],
    cause: str,
) -> None:
    caplog.set_level(logging.INFO)
    parts = [await service.have(1) for _ in range(6)]
    async with conditions.failing("stock_movement", sqlstate):
        errors = await asyncio.gather(*(refusal(adjust(service, part_id)) for part_id in parts))

    await until_accepted(service, parts[0])

    assert {(type(error), error.metadata["cause"]) for error in errors} == {(kind, cause)}
    assert not [error for error in errors if "SECRET" in error.message]
    assert len(lines(caplog, f"writes fail database={conditions.name} cause={cause}")) == (kind is StoreUnavailable)
    assert no_traces(caplog)
    service.check_books()


async def test_a_locked_table_is_a_refusal_also_where_locked_rows_are_looked_for(
    service: Running, conditions: Conditions, caplog: pytest.LogCaptureFixture
) -> None:
    part_id = await service.have(1)
    with conditions.locked(LOCK_TABLE):
        error = await refusal(adjust(service, part_id))

    await until_accepted(service, part_id)

    assert (type(error), error.retry_after_seconds) == (Overloaded, 1.0)
    assert no_traces(caplog)


async def test_a_statement_that_exceeds_the_time_limit_of_the_role_is_a_deadline(
    service: Running, conditions: Conditions, caplog: pytest.LogCaptureFixture
) -> None:
    part_id = await service.have(1)
    with conditions.statement_timeout(200):
        await until_accepted(service, part_id)  # a session that has the limit
        with conditions.locked(b"SELECT FROM stock_level FOR UPDATE"):
            error = await refusal(adjust(service, part_id))

    assert isinstance(error, DeadlinePassed), error
    assert no_traces(caplog)


async def test_a_database_without_connections_is_unavailable_and_recovers(
    service: Running, conditions: Conditions, caplog: pytest.LogCaptureFixture
) -> None:
    part_id = await service.have(1)
    with conditions.no_connections():
        error = await refusal(adjust(service, part_id))

    await until_accepted(service, part_id)

    assert isinstance(error, StoreUnavailable)
    assert no_traces(caplog)
