"""The worker and the scheduler as processes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.mark.parametrize("program", ["worker", "scheduler"])
async def test_the_ready_line_is_logged_at_every_level(
    program: str, audit_dsn: str, redis_url: str, free_port: int
) -> None:
    """The stack waits for this line, whatever the log level."""
    environment = os.environ | {
        "PARTSTREAM_AUDIT_DATABASE_URL": audit_dsn,
        "PARTSTREAM_REDIS_URL": redis_url,
        "PARTSTREAM_LOG_LEVEL": "ERROR",
        "PARTSTREAM_OPERATIONS_PORT": str(free_port),
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tasks", program),
        env=environment,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None

    lines = [line.decode() async for line in _until_ready(process.stderr)]

    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{free_port}") as client:
        metrics = await client.get("/metrics")
        health = await client.get("/health/ready")

    assert f"{program} ready" in lines[-1]
    assert "partstream_tasks_ready 1.0" in metrics.text
    assert health.json()["status"] == "ok"
    own = {"audit-trail"} if program == "worker" else set()
    assert set(health.json()["checks"]) == {"database", "writes", "redis", *own}
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0


async def _until_ready(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    async for line in stream:
        yield line
        if b"ready" in line:
            return
