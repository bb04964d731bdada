"""Storms in which something breaks: a replica is killed, the database restarts. Callers ask again with the same id."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chassis.tokens import SigningKey
from stack.servers.databases import NAMES, ensure_databases
from stack.servers.postgres import EmbeddedPostgres
from tests.harness.templates import migrate
from tests.inventory_svc.running import check_books
from tests.inventory_svc.storms.replicas import Crowd, Replica, replica_processes

CALLERS = 16


async def storm(crowd: Crowd, parts: list[str], calls: int, seed: int, reached: asyncio.Event, after: int) -> int:
    """Random changes and reads; ``reached`` is set after some of them. Answers how many changes were done."""
    chance = random.Random(seed)
    counter = iter(range(calls))
    done = 0

    async def caller() -> None:
        nonlocal done
        for number in counter:
            part = chance.choice(parts)
            if number % 5 == 0:
                await crowd.read(part)
            elif await crowd.adjust(part, chance.choice([-3, -2, -1, 1, 2, 4])):
                done += 1
            if number == after:
                reached.set()

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return done


async def test_a_replica_is_killed_in_the_middle(crowd: Crowd, replicas: list[Replica]) -> None:
    parts = [await crowd.have(f"part-{number}", 30) for number in range(4)]
    reached = asyncio.Event()
    storming = asyncio.create_task(storm(crowd, parts, 600, 17, reached, after=200))

    await reached.wait()
    replicas[0].kill()
    replicas[0].start()
    await replicas[0].ready()
    await storming

    assert crowd.retries


@pytest.fixture
async def own_server(tmp_path: Path) -> AsyncIterator[EmbeddedPostgres]:
    """A PostgreSQL of its own, with fsync, that the test may restart."""
    await asyncio.to_thread(tmp_path.chmod, 0o755)
    server = EmbeddedPostgres(tmp_path / "postgres", password="storm")
    yield server
    server.stop()


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGQUIT], ids=["fast shutdown", "crash"])
async def test_the_database_restarts_in_the_middle(
    own_server: EmbeddedPostgres, tmp_path: Path, key: SigningKey, ending: signal.Signals
) -> None:
    admin_dsn = own_server.start(log=tmp_path / "postgres.log")
    dsn = ensure_databases(admin_dsn, dict.fromkeys(NAMES, "storm"))["inventory"]
    migrate("inventory", dsn)
    port = int(admin_dsn.rpartition(":")[2].partition("/")[0])
    async with replica_processes(dsn, tmp_path, key) as replicas:
        crowd = Crowd([replica.port for replica in replicas], key)
        parts = [await crowd.have(f"part-{number}", 30) for number in range(4)]
        reached = asyncio.Event()
        storming = asyncio.create_task(storm(crowd, parts, 600, 19, reached, after=200))

        await reached.wait()
        process = own_server._process
        assert process is not None
        process.send_signal(ending)
        await asyncio.to_thread(process.wait, 30)
        await asyncio.to_thread(own_server.start, port, log=tmp_path / "postgres.log")
        await storming
        await crowd.close()

    crowd.check()
    check_books(dsn)
