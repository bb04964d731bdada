"""A database and a running inventory service to measure, each a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import grpc

from changelog.cursor import Position, encode
from chassis.channels import open_channel
from chassis.tokens import ServiceToken, SigningKey
from loadtests.bench.inventory_process import UNLIMITED
from partstream.inventory.v1.stock_service_pb2_grpc import InventoryServiceStub
from stack.checkout import ROOT
from stack.servers.databases import NAMES, ensure_databases
from stack.servers.ports import free_port
from stack.servers.postgres import EmbeddedPostgres

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PASSWORD = "bench-only"  # noqa: S105 - of a server on the loopback address that lives as long as the bench
PARTS = 10_000

SEED = """
INSERT INTO stock_level (part_id, location_id, on_hand)
SELECT 'part-' || lpad(n::text, 8, '0'), 'main', 1000000 FROM generate_series($1::int, $2::int) AS n
"""


@dataclass
class Rig:
    """Where things are, and how to come by more of them."""

    folder: Path
    dsn: str
    port: int
    key: SigningKey
    service: subprocess.Popen[bytes]
    helpers: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def key_file(self) -> Path:
        """The signing key, for helpers."""
        return self.folder / "key.pem"

    @property
    def stamps(self) -> Path:
        """Where the service writes when each commit was."""
        return self.folder / "stamps"

    def channel(self) -> grpc.aio.Channel:
        """A channel to the service."""
        return open_channel([f"127.0.0.1:{self.port}"], token=ServiceToken(self.key, "bench"))

    def stub(self, channel: grpc.aio.Channel) -> Any:
        """A stub."""
        return InventoryServiceStub(channel)

    async def head(self) -> Position:
        """Where the log stands."""
        row = await self.fetchrow(
            "SELECT epoch, coalesce((SELECT max(revision) FROM change_log), 0) AS revision FROM change_log_identity"
        )
        return Position("inventory", row["epoch"], row["revision"])

    async def cursor(self, revision: int | None = None) -> str:
        """A cursor of a revision; of the newest one when none is given."""
        head = await self.head()
        return encode(Position("inventory", head.epoch, head.revision if revision is None else revision))

    async def fetchrow(self, query: str, *arguments: Any) -> Any:
        """A row of the database."""
        connection = await asyncpg.connect(self.dsn)
        try:
            return await connection.fetchrow(query, *arguments)
        finally:
            await connection.close()

    async def execute(self, query: str, *arguments: Any) -> None:
        """Change the database by hand."""
        connection = await asyncpg.connect(self.dsn)
        try:
            await connection.execute(query, *arguments)
        finally:
            await connection.close()

    def helper(self, module: str, *arguments: str) -> subprocess.Popen[str]:
        """Start one of the measuring processes."""
        process = subprocess.Popen(
            [sys.executable, "-m", f"loadtests.bench.streaming.{module}", *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.helpers.append(process)
        return process

    def rss_kib(self) -> int:
        """Memory that the service has in RAM."""
        return memory_kib(self.service.pid)

    def cpu_seconds(self) -> float:
        """Processor time that the service has used."""
        fields = Path(f"/proc/{self.service.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_kib(pid: int) -> int:
    """Resident memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


async def said(process: subprocess.Popen[str]) -> Any:
    """The next line a helper says, decoded."""
    assert process.stdout is not None  # noqa: S101 - made with a pipe
    line = await asyncio.to_thread(process.stdout.readline)
    return json.loads(line)


async def told(process: subprocess.Popen[str], line: str) -> Any:
    """Return the response of a helper to a line."""
    assert process.stdin is not None  # noqa: S101 - made with a pipe
    process.stdin.write(line + "\n")
    process.stdin.flush()
    return await said(process)


@contextlib.asynccontextmanager
async def open_rig(*, parts: int = PARTS, settings: dict[str, str] | None = None) -> AsyncIterator[Rig]:
    """A rig that is gone afterwards; the database is as durable as in production."""
    with tempfile.TemporaryDirectory(prefix="partstream-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        server = EmbeddedPostgres(folder / "postgres", password=PASSWORD)
        admin_dsn = server.start()
        dsn = ensure_databases(admin_dsn, dict.fromkeys(NAMES, PASSWORD))["inventory"]
        rig: Rig | None = None
        try:
            rig = await _start(folder, dsn, settings or {})
            for first in range(1, parts + 1, 5000):
                await rig.execute(SEED, first, min(first + 4999, parts))
            yield rig
        finally:
            if rig is not None:
                for process in rig.helpers:
                    _end(process)
                _end(rig.service)
            server.stop()


async def _start(folder: Path, dsn: str, settings: dict[str, str]) -> Rig:
    key = SigningKey.generate()
    (folder / "key.pem").write_bytes(key.pem())
    (folder / "jwks.json").write_text(json.dumps(key.jwks()))
    port = free_port()
    environment = os.environ | {
        "PARTSTREAM_INVENTORY_DATABASE_URL": dsn,
        "PARTSTREAM_JWKS": str(folder / "jwks.json"),
        "PARTSTREAM_REVOCATION_TARGETS": "none",
        "PARTSTREAM_INVENTORY_PORT": str(port),
        "PARTSTREAM_LOG_LEVEL": "WARNING",
        "PARTSTREAM_LIMITS": UNLIMITED,
        "PARTSTREAM_BENCH_STAMPS": str(folder / "stamps"),
        **settings,
    }
    rig = Rig(folder, dsn, port, key, _serve(environment))
    async with open_channel([f"127.0.0.1:{port}"]) as channel:
        await asyncio.wait_for(channel.channel_ready(), 60)
    return rig


def _serve(environment: dict[str, str]) -> subprocess.Popen[bytes]:
    subprocess.run([sys.executable, "-m", "inventory_svc", "migrate"], cwd=ROOT, env=environment, check=True)
    return subprocess.Popen(
        [sys.executable, "-m", "loadtests.bench.streaming.stamped_service"], cwd=ROOT, env=environment
    )


def _end(process: subprocess.Popen[Any]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
