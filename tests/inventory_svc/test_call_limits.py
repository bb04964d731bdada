"""Limits of direct gRPC callers: rates, open streams, snapshots; and the callers without limits."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from chassis.errors import Overloaded, TokenInvalid
from chassis.limits import limits
from chassis.tokens import SERVICE_PERMISSIONS
from partstream.inventory.v1 import stock_service_pb2 as pb
from tests.inventory_svc.running import Running, refusal, running

GIVEN = limits("reads=6/h,reads.service=100/h,writes=2/h,reservations=1/h,snapshots=2/h,streams_per_caller=2,streams=3")
READ = pb.GetStockRequest(part_id="NO-SUCH")


@pytest.fixture
async def service(inventory_dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    """A service with small limits."""
    async with running(inventory_dsn, tmp_path, limits=GIVEN) as made:
        yield made


async def reasons(service: Running, times: int, **options: Any) -> list[str]:
    return [(await refusal(service.public.GetStock(READ, **options))).reason for _ in range(times)]


async def test_a_guest_beyond_its_limit_gets_a_retry_delay(service: Running, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "partstream.calls")
    assert await reasons(service, 8) == ["PART_NOT_FOUND"] * 6 + ["OVERLOADED"] * 2

    error = await refusal(service.public.GetStock(READ))

    assert isinstance(error, Overloaded)
    assert error.metadata == {"limit": "reads"}
    assert error.retry_after_seconds is not None
    assert 1 <= error.retry_after_seconds <= 3600
    limited = [record.message for record in caplog.records if "limit" in record.message]
    assert limited == ["call limit reached class=reads role=guest caller=127.0.0.1"]
    assert not [record for record in caplog.records if "RESOURCE_EXHAUSTED" in record.message]


async def test_callers_and_classes_are_counted_apart(service: Running) -> None:
    await reasons(service, 8)

    staff = service.client("clerk", "00000000-0000-4000-8000-000000000002", SERVICE_PERMISSIONS)
    assert (await refusal(staff.GetStock(READ))).reason == "PART_NOT_FOUND"
    reservation = pb.GetReservationRequest(reservation_id="00000000-0000-4000-8000-000000000003")
    assert (await refusal(service.public.GetReservation(reservation))).reason == "OVERLOADED"  # a read
    first, second = [await refusal(service.public.CreateReservation(pb.CreateReservationRequest())) for _ in range(2)]
    assert [first.reason, second.reason] == ["FIELD_INVALID", "OVERLOADED"]


async def test_a_token_that_proves_nothing_counts_for_its_address(service: Running) -> None:
    bad = (("authorization", "Bearer x"),)
    errors = [await refusal(service.public.GetStock(READ, metadata=bad)) for _ in range(8)]

    assert [type(error) for error in errors] == [TokenInvalid] * 6 + [Overloaded] * 2


async def test_what_an_edge_asks_for_its_users_is_not_counted_again(service: Running) -> None:
    assert await reasons(service, 20, metadata=service.by_edge) == ["PART_NOT_FOUND"] * 20


async def test_snapshots_are_few(service: Running) -> None:
    async def snapshot() -> int:
        return len([message async for message in service.staff.SnapshotStock(pb.SnapshotStockRequest())])

    assert [await snapshot(), await snapshot()] == [1, 1]
    error = await refusal(snapshot())
    assert error.metadata == {"limit": "snapshots"}


async def watch(service: Running, name: str = "", user: int = 1, **options: Any) -> Any:
    """A stream that is open: its first message has come."""
    client = service.client(name, f"00000000-0000-4000-8000-00000000000{user}", SERVICE_PERMISSIONS)
    request = pb.WatchStockRequest()
    request.bookmark_interval.FromMilliseconds(1_000)
    call = client.WatchStock(request, **options)
    first = await call.read()
    assert first is not grpc.aio.EOF
    return call


async def test_streams_are_few_per_caller_and_in_all(service: Running) -> None:
    first, _ = await watch(service, "clerk"), await watch(service, "clerk")
    assert (await refusal(watch(service, "clerk"))).metadata == {"limit": "streams"}

    await watch(service, "other", 2)
    assert (await refusal(watch(service, "third", 3))).metadata == {"limit": "streams"}

    followers = [await watch(service, metadata=service.by_edge) for _ in range(4)]
    assert len(followers) == 4
    first.cancel()
    while True:
        try:
            await watch(service, "third", 3)
            break
        except grpc.aio.AioRpcError:
            continue  # the server has not noticed yet
