"""The audit includes writes through the same edge, or is marked incomplete within its time limit."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from changelog import cursor as cursors
from edge.audit_dispatch.trail import WAIT_SECONDS
from tests.edge.routes.shop import open_shop, stock
from tests.tasks.live_log import WorkerProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

    from edge.app import Edge
    from tests.harness.own_redis import OwnRedis

PART_ID = "LED-5MM-RED"
SLACK_SECONDS = 5.0  # a shared machine takes its time with the requests around the wait


@pytest.fixture
def queue_url(own_redis: OwnRedis) -> str:
    """Redis of the edge and of the worker."""
    return own_redis.url


@pytest.fixture
def worker(audit_dsn: str, queue_url: str, tmp_path: Path) -> Iterator[WorkerProcess]:
    """A worker that is not started yet."""
    process = WorkerProcess(audit_dsn, queue_url, tmp_path / "worker.log")
    yield process
    if process.runs:
        process.kill()


async def audit(admin: httpx.AsyncClient, minimum: str = "", **params: Any) -> dict[str, Any]:
    headers = {"Partstream-Min-Revision": minimum} if minimum else {}
    response = await admin.get("/admin/audit", params={"part_id": PART_ID, **params}, headers=headers)
    assert response.status_code == 200, response.text
    page: dict[str, Any] = response.json()
    return page


async def adjust(admin: httpx.AsyncClient) -> httpx.Response:
    response = await admin.post(f"/admin/parts/{PART_ID}/stock/adjust", json={"delta": 1, "reason": "found"})
    assert response.status_code == 200, response.text
    return response


async def until_complete(admin: httpx.AsyncClient) -> None:
    """Return when the trail has caught up: worker processes send no signal."""
    async with asyncio.timeout(60):
        while not (await audit(admin))["complete"]:
            pass


async def test_a_write_is_in_the_next_read_of_the_audit(admin: httpx.AsyncClient, worker: WorkerProcess) -> None:
    worker.start()
    await open_shop(admin)
    await stock(admin, 5)
    await until_complete(admin)

    for _ in range(10):
        written = (await adjust(admin)).json()
        page = await audit(admin, page_size=1)

        assert page["complete"]
        assert page["items"][0]["new"]["version"] == written["version"]


async def test_without_a_dispatcher_the_audit_is_incomplete_in_time_and_later_complete(
    edge: Edge, admin: httpx.AsyncClient, worker: WorkerProcess
) -> None:
    assert edge._dispatcher is not None
    worker.start()
    await stock(admin, 5)
    await until_complete(admin)
    await edge._dispatcher.stop()
    await edge.following.followers["inventory"].stop()  # the response alone says how far the log is

    written = (await adjust(admin)).json()
    began = time.monotonic()
    page = await audit(admin)
    took = time.monotonic() - began

    assert not page["complete"]
    assert [item["new"]["version"] for item in page["items"]] == [1]
    assert took < WAIT_SECONDS + SLACK_SECONDS
    edge._dispatcher.start()
    await until_complete(admin)
    assert (await audit(admin))["items"][0]["new"]["version"] == written["version"]


async def test_with_a_stopped_queue_the_audit_is_incomplete_in_time(
    admin: httpx.AsyncClient, worker: WorkerProcess, own_redis: OwnRedis
) -> None:
    worker.start()
    await stock(admin, 5)
    await until_complete(admin)
    await asyncio.to_thread(own_redis.stop)

    await adjust(admin)
    began = time.monotonic()
    page = await audit(admin)

    assert time.monotonic() - began < WAIT_SECONDS + SLACK_SECONDS
    assert not page["complete"]


async def test_the_audit_waits_for_a_revision_of_another_edge(admin: httpx.AsyncClient, worker: WorkerProcess) -> None:
    worker.start()
    await open_shop(admin)
    await stock(admin, 5)
    await until_complete(admin)
    token = (await adjust(admin)).headers["partstream-revision"]
    known = cursors.decode(token)["inventory"]
    ahead = cursors.encode(cursors.Position("inventory", known.epoch, known.revision + 1))

    assert (await audit(admin, minimum=token))["complete"]
    assert (await audit(admin, minimum=ahead, service="content"))["complete"]
    assert not (await audit(admin, minimum=ahead))["complete"]
