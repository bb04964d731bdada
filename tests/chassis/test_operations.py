"""The operations port: metrics and detailed health, also while the event loop is blocked."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx
import pytest

from chassis import operations
from chassis.addresses import PortTaken
from chassis.operations import CheckResult, HealthDetails, OperationsPort, checked, summarised

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def well() -> HealthDetails:
    return summarised({"database": CheckResult("ok", ms=1.5)})


async def fails() -> None:
    raise ConnectionError


@asynccontextmanager
async def served(port: OperationsPort) -> AsyncIterator[httpx.AsyncClient]:
    port.start()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port.port}") as client:
        yield client
    await port.stop()


async def test_metrics_and_health_are_served(free_port: int) -> None:
    async with served(OperationsPort("127.0.0.1", free_port, well)) as client:
        metrics = await client.get("/metrics")
        ready = await client.get("/health/ready")
        live = await client.get("/health/live?verbose")
        head = await client.head("/metrics")
        nowhere = await client.get("/api/v1/parts")
        written = await client.post("/metrics")

    assert metrics.headers["content-type"].startswith("text/plain")
    assert "process_resident_memory_bytes" in metrics.text
    assert "partstream_" in metrics.text or "python_info" in metrics.text
    assert ready.json() == {
        "status": "ok",
        "checks": {"database": {"status": "ok", "required": True, "ms": 1.5, "detail": ""}},
    }
    assert live.json() == {"status": "ok", "checks": {}}
    assert (head.status_code, head.content) == (200, b"")
    assert nowhere.status_code == 404
    assert written.status_code == 501
    assert "server" not in metrics.headers


@pytest.mark.parametrize(("required", "status", "code"), [(True, "down", 503), (False, "degraded", 200)])
async def test_a_dependency_that_is_unavailable_shows(free_port: int, required: bool, status: str, code: int) -> None:
    async def details() -> HealthDetails:
        return summarised({"database": await checked(fails, required=required)})

    async with served(OperationsPort("127.0.0.1", free_port, details)) as client:
        ready = await client.get("/health/ready")

    assert (ready.status_code, ready.json()["status"]) == (code, status)
    assert ready.json()["checks"]["database"]["detail"] == "ConnectionError"


async def test_a_blocked_event_loop_is_not_alive(free_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The threads of the port respond while the loop does not."""
    monkeypatch.setattr(operations, "LOOP_SECONDS", 0.05)
    port = OperationsPort("127.0.0.1", free_port, well)
    port.start()
    found: list[bytes] = []

    def ask() -> None:
        with socket.create_connection(("127.0.0.1", free_port)) as connection:
            connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            while part := connection.recv(4096):
                found.append(part)

    asked = asyncio.to_thread(ask)
    waiting = asyncio.create_task(asked)
    await asyncio.sleep(0)
    deadline = time.monotonic() + 20
    while not found and time.monotonic() < deadline:
        time.sleep(0.01)  # noqa: ASYNC251 - a blocked loop is what is tested
    await waiting
    await port.stop()

    assert b" 503 " in found[0]
    assert b"blocked" in b"".join(found)


async def test_a_client_that_sends_nothing_holds_up_no_other(free_port: int) -> None:
    async with served(OperationsPort("127.0.0.1", free_port, well)) as client:
        silent = [await asyncio.open_connection("127.0.0.1", free_port) for _ in range(operations._AT_ONCE - 1)]
        ready = await client.get("/health/live")
        for _, writer in silent:
            writer.close()

    assert ready.status_code == 200


async def test_a_port_that_is_taken_is_said_plainly(free_port: int) -> None:
    async with served(OperationsPort("127.0.0.1", free_port, well)):
        with pytest.raises(PortTaken, match=f"operations port {free_port} on 127.0.0.1 is in use"):
            OperationsPort("127.0.0.1", free_port, well).start()


async def test_without_a_port_nothing_is_served() -> None:
    port = OperationsPort("127.0.0.1", None, well)
    port.start()

    assert port.port == 0
    await port.stop()
