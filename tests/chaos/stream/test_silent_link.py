"""Watchers behind a link that drops packets silently: the properties hold, and silence is detected."""

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
from tests.chaos.stream.network_namespace import namespace_command, relay
from tests.chaos.stream.properties import HEAD, check_recorder, check_state, read_levels, read_log
from tests.chaos.stream.recording import decode_record
from tests.chaos.stream.replicas import ROOT, ForkServer, Replica
from tests.chaos.stream.storm import LOCATIONS, PARTS, SEED, Storm
from tests.chaos.stream.world import PREPARE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

_OUTAGES = 2
_SHORT_SECONDS = (0.1, 0.5)  # too short to be detected: TCP retransmits


@pytest.fixture(scope="session")
def way() -> tuple[str, ...]:
    """Return the command that runs another one in its own network."""
    found, reason = namespace_command()
    if found is None:
        pytest.skip(reason)
    return found


@pytest.fixture
def fork_server() -> Iterator[ForkServer]:
    made = ForkServer()
    made.start()
    yield made
    made.stop()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose name is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="ps-") as name:
        yield Path(name)


class IsolatedWatchers:
    """The watchers behind the link, by standard input and output."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, command: Any, seconds: float = 60.0) -> dict[str, Any]:
        """Send a command; return its response."""
        self.send(command)
        assert self._process.stdout is not None
        async with asyncio.timeout(seconds):
            line = await self._process.stdout.readline()
        assert line, "the watcher has ended"
        response: dict[str, Any] = json.loads(line)
        return response

    def send(self, command: Any) -> None:
        """Send a command without a response."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")

    async def all_streams_ended(self) -> None:
        """Return once every open stream has ended."""
        before = await self.ask("endings")
        async with asyncio.timeout(60):
            while True:
                now = await self.ask("endings")
                grown = [len(new) > len(old) for new, old in zip(now["recorders"], before["recorders"], strict=True)]
                if all(grown) and now["follower"] > before["follower"]:
                    return
                await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def isolated_watchers(port: int, way: tuple[str, ...], folder: Path) -> AsyncIterator[IsolatedWatchers]:
    """Yield watchers that reach a port of this machine over the link only."""
    socket = str(folder / "link")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await relay(reader, writer, await asyncio.open_connection("127.0.0.1", port))

    server = await asyncio.start_unix_server(serve, socket)
    process = await asyncio.create_subprocess_exec(
        *way,
        sys.executable,
        "-m",
        "tests.chaos.stream.network_namespace",
        socket,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        yield IsolatedWatchers(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        server.close()


async def prepared(dsn: str) -> str:
    """Create levels; return the cursor of the log's end."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(PREPARE)
        await connection.execute(SEED, PARTS, LOCATIONS)
        row = await connection.fetchrow(HEAD)
    finally:
        await connection.close()
    return encode(Position("inventory", row["epoch"], row["revision"]))


@pytest.mark.parametrize("seed", range(3))
async def test_watchers_behind_a_silent_link_receive_every_change_once(
    inventory_dsn: str, fork_server: ForkServer, folder: Path, way: tuple[str, ...], seed: int
) -> None:
    rng = random.Random(seed)
    key = SigningKey.generate()
    jwks = folder / "jwks.json"
    jwks.write_text(json.dumps(key.jwks()))
    token = ServiceToken(key, "chaos")
    cursor = await prepared(inventory_dsn)
    replica = Replica(fork_server, inventory_dsn, jwks, folder / "replica.log")
    await replica.start()
    await replica.listens()
    storm = Storm(replica.port, token, rng)
    storm.start(2)
    try:
        async with isolated_watchers(replica.port, way, folder) as watchers:
            watchers.send({"cursor": cursor, "token": token(), "part_ids": rng.sample(PARTS, 3)})
            await watchers.ask({"reach": (await read_levels(inventory_dsn))[0].revision})
            for _ in range(_OUTAGES):
                assert await watchers.ask("down") == {"link": "down"}
                await asyncio.sleep(rng.uniform(*_SHORT_SECONDS))
                await watchers.ask("up")
                await watchers.ask({"reach": (await read_levels(inventory_dsn))[0].revision})
                await watchers.ask("down")
                await watchers.all_streams_ended()
                await watchers.ask("up")
                await watchers.ask({"reach": (await read_levels(inventory_dsn))[0].revision})
            await storm.stop()
            head, levels = await read_levels(inventory_dsn)
            await watchers.ask({"reach": head.revision})
            await watchers.ask({"record": str(folder / "record.json")})
    finally:
        await storm.stop()
        await replica.end(signal.SIGKILL)

    record = json.loads((folder / "record.json").read_text())
    recorders, state = decode_record(record)
    log = await read_log(inventory_dsn)
    for recorder in recorders:
        check_recorder(recorder, log)
        # Until the relay listens, connections of a watcher are refused.
        endings = [session.ended_by for session in recorder.sessions if session.messages]
        assert endings[0] == "TimeoutError", endings  # the first outage is detected by silence only
        assert endings.count("TimeoutError") >= _OUTAGES
    check_state(state, levels)
    assert (record["gaps"], record["duplicates"]) == (0, 0)
    assert not replica.errors()
