"""A stack whose Redis files are damaged starts, and recovers while it runs: nothing is missing afterwards."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.servers.redis_files import quarantined
from tests.flow.admin import Admin
from tests.flow.eventually import eventually
from tests.flow.running_stack import RunningStack
from tests.flow.stored_facts import audit_facts, log_facts


@pytest.fixture
def own_stack() -> Iterator[RunningStack]:
    """A stack whose files the test may damage."""
    folder = Path(tempfile.mkdtemp(prefix="partstream-flow-"))
    running = RunningStack(folder, edges=1)
    running.start()
    yield running
    running.stop()
    shutil.rmtree(folder, ignore_errors=True)


def damage(folder: Path) -> None:
    """As a full disk does: what follows a record that was cut off cannot be read."""
    path = max((folder / "redis").rglob("*.aof"), key=lambda found: found.stat().st_mtime)
    with path.open("ab") as file:
        file.write(b"*3\r\n$3\r\nSE\r\n\xff\xff*1\r\n" * 20)


@pytest.mark.slow
async def test_the_stack_goes_on_without_its_redis_files(own_stack: RunningStack) -> None:
    """A damaged append-only file made `up` fail until somebody deleted it by hand."""
    stack = own_stack
    redis = stack.folder / "redis"
    async with Admin(stack) as admin:
        await admin.create_part("Q-1")
        await admin.put_stock("Q-1", 1, expected_version=0)
        running = stack.process("redis")
        assert running.pid is not None
        os.kill(running.pid, signal.SIGSTOP)
        damage(stack.folder)
        await stack.kill("redis")
        await admin.put_stock("Q-1", 2, expected_version=1)
        await eventually(lambda: reached(stack))
        assert len(quarantined(redis)) == 1
        await eventually(lambda: has(admin, "redis_files_quarantined"))

    stack.stop()
    damage(stack.folder)
    stack.start()
    async with Admin(stack) as admin:
        await admin.put_stock("Q-1", 3, expected_version=2)
        await eventually(lambda: reached(stack))
        assert len(quarantined(redis)) == 2
        await eventually(lambda: has(admin, "redis_files_quarantined"))
        for moved in quarantined(redis):
            shutil.rmtree(moved)
        await eventually(lambda: has_none(admin))


async def has(admin: Admin, name: str) -> bool:
    return name in await admin.firing_alerts()


async def has_none(admin: Admin) -> bool:
    return not await admin.firing_alerts()


async def reached(stack: RunningStack) -> bool:
    """Whether the trail holds every entry of both logs."""
    for service in ("inventory", "content"):
        if (await audit_facts(stack, service)).last < (await log_facts(stack, service)).last:
            return False
    return True
