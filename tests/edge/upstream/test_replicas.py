"""Two real inventory processes, one of them stopped: calls go to the other one, and it is used again afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
import uuid
from typing import TYPE_CHECKING

import pytest

from chassis.tokens import SERVICE_PERMISSIONS
from edge.http.request_context import RequestContext, set_request_context
from edge.upstream.clients import CONTENT, INVENTORY, WRITE_SECONDS, Services
from edge.upstream.replicas import Replicas
from partstream.inventory.v1 import stock_service_pb2 as pb
from tests.chaos.stream.replicas import ForkServer, Replica

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.edge.conftest import Keys

WRITERS = 8
USER_ID = "00000000-0000-4000-8000-000000000001"


@pytest.fixture(scope="module")
def fork_server() -> Iterator[ForkServer]:
    started = ForkServer()
    started.start()
    yield started
    started.stop()


@pytest.fixture
async def processes(
    fork_server: ForkServer, inventory_dsn: str, keys: Keys, tmp_path: Path
) -> AsyncIterator[tuple[Replica, Replica]]:
    first, second = (Replica(fork_server, inventory_dsn, keys.jwks, tmp_path / f"{number}.log") for number in (1, 2))
    for process in (first, second):
        await process.start()
        await process.listens()
    yield first, second
    for process in (first, second):
        await process.end(signal.SIGKILL)


@pytest.fixture
async def replicas(processes: tuple[Replica, Replica]) -> AsyncIterator[Replicas]:
    made = Replicas("inventory", INVENTORY, [f"127.0.0.1:{process.port}" for process in processes])
    made.start()
    async with asyncio.timeout(30):
        while not all(replica.serves for replica in made.all):  # noqa: ASYNC110 - they are probed
            await asyncio.sleep(0.02)
    yield made
    await made.close()


@pytest.fixture
async def services(replicas: Replicas, keys: Keys, free_port: int) -> AsyncIterator[Services]:
    content = Replicas("content", CONTENT, [f"127.0.0.1:{free_port}"])
    set_request_context(
        RequestContext(bearer=keys.key.mint(subject=USER_ID, name="admin", permissions=SERVICE_PERMISSIONS))
    )
    yield Services(replicas, content, lambda: "")
    await content.close()


@contextlib.contextmanager
def stopped(process: Replica) -> Iterator[None]:
    assert process.pid is not None
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)


async def write(services: Services, number: int) -> None:
    request = pb.AdjustStockRequest(
        request_id=str(uuid.uuid4()), part_id=f"P{number}", delta=1, reason="test", location_id="main"
    )
    await services.call_upstream(services.inventory.AdjustStock, request, seconds=WRITE_SECONDS)


async def read(services: Services, number: int) -> int:
    request = pb.GetStockRequest(part_id=f"P{number}")
    response = await services.call_upstream(services.inventory.GetStock, request)
    return response.stock.levels[0].on_hand


async def begin_parts(services: Services) -> None:
    for number in range(WRITERS):
        request = pb.SetStockRequest(part_id=f"P{number}", location_id="main", on_hand=0, expected_version=0)
        request.request_id = str(uuid.uuid4())
        await services.call_upstream(services.inventory.SetStock, request, seconds=WRITE_SECONDS)


async def test_no_call_fails_while_one_of_two_replicas_is_stopped(
    services: Services, replicas: Replicas, processes: tuple[Replica, Replica]
) -> None:
    """Half of all writes and reads waited until their time was over and failed, for 65 s."""
    await begin_parts(services)
    written = 0
    with stopped(processes[1]):
        began = time.monotonic()
        while not any(replica.cause for replica in replicas.all) or written < 10 * WRITERS:
            await asyncio.gather(*(write(services, number) for number in range(WRITERS)))
            written += WRITERS
            await asyncio.gather(*(read(services, number) for number in range(WRITERS)))
            assert time.monotonic() - began < 60
        await replicas.check()
        with pytest.raises(Exception, match=str(processes[1].port)):
            await replicas.check_each()

    async with asyncio.timeout(60):
        while any(replica.cause for replica in replicas.all):  # noqa: ASYNC110 - it is probed
            await asyncio.sleep(0.02)
    await replicas.check_each()

    levels = [await read(services, number) for number in range(WRITERS)]
    assert sum(levels) == written  # each write once, whichever replica did it


async def test_a_killed_replica_costs_no_call(
    services: Services, replicas: Replicas, processes: tuple[Replica, Replica]
) -> None:
    await begin_parts(services)

    await processes[1].end(signal.SIGKILL)
    for _ in range(10):
        await asyncio.gather(*(write(services, number) for number in range(WRITERS)))

    assert sum([await read(services, number) for number in range(WRITERS)]) == 10 * WRITERS


async def test_the_last_replica_is_never_left_out(replicas: Replicas, processes: tuple[Replica, Replica]) -> None:
    with stopped(processes[0]), stopped(processes[1]):
        async with asyncio.timeout(60):
            while not all(replica.trouble for replica in replicas.all):  # noqa: ASYNC110 - they are probed
                await asyncio.sleep(0.02)

        assert sum(bool(replica.cause) for replica in replicas.all) == 1
        with pytest.raises(Exception, match="does not serve"):
            await replicas.check()
