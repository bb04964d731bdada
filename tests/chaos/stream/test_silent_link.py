"""Watchers behind a link that at times drops everything and says nothing: the properties hold, and silence tells."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from changelog.cursor import Position, encode
from chassis.tokens import ServiceToken, SigningKey
from tests.chaos.stream.island import pass_on, way_in
from tests.chaos.stream.properties import HEAD, check_recorder, check_state, read_levels, read_log
from tests.chaos.stream.recording import read_back
from tests.chaos.stream.replicas import ROOT, Nursery, Replica
from tests.chaos.stream.storm import LOCATIONS, PARTS, SEED, Storm
from tests.chaos.stream.world import PREPARE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

_OUTAGES = 2
_SHORT_SECONDS = (0.1, 0.5)  # too short to be noticed: the network repeats what it lost


@pytest.fixture(scope="session")
def way() -> tuple[str, ...]:
    """How to run something in a network of its own."""
    found, reason = way_in()
    if found is None:
        pytest.skip(reason)
    return found


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    made.start()
    yield made
    made.stop()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose name is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="ps-") as name:
        yield Path(name)


class Island:
    """The watcher's side of the link, by its standard input and output."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, command: Any, seconds: float = 60.0) -> dict[str, Any]:
        """Send a command; its answer."""
        self.tell(command)
        assert self._process.stdout is not None
        async with asyncio.timeout(seconds):
            line = await self._process.stdout.readline()
        assert line, "the watcher has ended"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def tell(self, command: Any) -> None:
        """Send a command that nobody answers."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")

    async def everybody_noticed(self) -> None:
        """Return once every stream that was open has ended."""
        before = await self.ask("endings")
        async with asyncio.timeout(60):
            while True:
                now = await self.ask("endings")
                grown = [len(new) > len(old) for new, old in zip(now["recorders"], before["recorders"], strict=True)]
                if all(grown) and now["follower"] > before["follower"]:
                    return
                await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def island_before(port: int, way: tuple[str, ...], folder: Path) -> AsyncIterator[Island]:
    """An island from which a port of this machine can be reached, over the link only."""
    socket = str(folder / "link")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await pass_on(reader, writer, await asyncio.open_connection("127.0.0.1", port))

    server = await asyncio.start_unix_server(serve, socket)
    process = await asyncio.create_subprocess_exec(
        *way,
        sys.executable,
        "-m",
        "tests.chaos.stream.island",
        socket,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        yield Island(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        server.close()


async def prepared(dsn: str) -> str:
    """Levels to storm; the cursor of the log's end."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(PREPARE)
        await connection.execute(SEED, PARTS, LOCATIONS)
        row = await connection.fetchrow(HEAD)
    finally:
        await connection.close()
    return encode(Position("inventory", row["epoch"], row["revision"]))


@pytest.mark.parametrize("seed", range(3))
async def test_watchers_behind_a_silent_link_miss_nothing_and_repeat_nothing(
    inventory_dsn: str, nursery: Nursery, folder: Path, way: tuple[str, ...], seed: int
) -> None:
    rng = random.Random(seed)
    key = SigningKey.generate()
    jwks = folder / "jwks.json"
    jwks.write_text(json.dumps(key.jwks()))
    token = ServiceToken(key, "chaos")
    cursor = await prepared(inventory_dsn)
    replica = Replica(nursery, inventory_dsn, jwks, folder / "replica.log")
    await replica.start()
    await replica.listens()
    storm = Storm(replica.port, token, rng)
    storm.start(2)
    try:
        async with island_before(replica.port, way, folder) as island:
            island.tell({"cursor": cursor, "token": token(), "part_ids": rng.sample(PARTS, 3)})
            await island.ask({"reach": (await read_levels(inventory_dsn))[0].revision})
            for _ in range(_OUTAGES):
                assert await island.ask("down") == {"link": "down"}
                await asyncio.sleep(rng.uniform(*_SHORT_SECONDS))
                await island.ask("up")
                await island.ask({"reach": (await read_levels(inventory_dsn))[0].revision})
                await island.ask("down")
                await island.everybody_noticed()
                await island.ask("up")
                await island.ask({"reach": (await read_levels(inventory_dsn))[0].revision})
            await storm.stop()
            head, levels = await read_levels(inventory_dsn)
            await island.ask({"reach": head.revision})
            await island.ask({"record": str(folder / "record.json")})
    finally:
        await storm.stop()
        await replica.end(signal.SIGKILL)

    record = json.loads((folder / "record.json").read_text())
    recorders, state = read_back(record)
    log = await read_log(inventory_dsn)
    for recorder in recorders:
        check_recorder(recorder, log)
        # Before the island's way out is open, a watcher is refused once or twice.
        endings = [session.ended_by for session in recorder.sessions if session.messages]
        assert endings[0] == "TimeoutError", endings  # nothing but silence told of the first outage
        assert endings.count("TimeoutError") >= _OUTAGES
    check_state(state, levels)
    assert (record["gaps"], record["duplicates"]) == (0, 0)
    assert not replica.troubles()
