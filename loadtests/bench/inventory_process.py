"""The inventory service on a server of its own, for measuring: embedded PostgreSQL with fsync, one service process."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import psycopg

from chassis.tokens import SERVICE_PERMISSIONS, SigningKey
from stack.servers.databases import NAMES, ensure_databases
from stack.servers.ports import free_port
from stack.servers.postgres import EmbeddedPostgres

READY_SECONDS = 60.0
# A bench is one caller with more calls than the limits of a caller allow.
UNLIMITED = ",".join(
    (
        *("reads=1000000/s", "writes=1000000/s", "reservations=1000000/s", "snapshots=1000000/min"),
        *("streams_per_caller=100000", "streams=100000"),
    )
)
PASSWORD = "bench-only"  # noqa: S105 - a server on the loopback address that lives as long as the bench


@dataclass(frozen=True)
class InventoryProcess:
    """A running service and its database."""

    pid: int
    port: int
    dsn: str
    token: str
    folder: Path

    def memory_mib(self) -> float:
        """Resident memory now."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    def sql(self, query: str) -> list[tuple[object, ...]]:
        """Run SQL as the owner."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = connection.execute(query.encode())
            return cursor.fetchall() if cursor.description else []


@contextlib.contextmanager
def inventory_process(data_folder: Path | None = None) -> Iterator[InventoryProcess]:
    """Start everything in a temporary folder; leave nothing behind."""
    with tempfile.TemporaryDirectory(prefix="partstream-bench-", dir=data_folder) as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = EmbeddedPostgres(folder / "postgres", password=PASSWORD)
        try:
            dsn = ensure_databases(server.start(log=folder / "postgres.log"), dict.fromkeys(NAMES, PASSWORD))[
                "inventory"
            ]
            with _service(folder, dsn) as process:
                yield process
        finally:
            server.stop()


@contextlib.contextmanager
def _service(folder: Path, dsn: str) -> Iterator[InventoryProcess]:
    key = SigningKey.generate()
    jwks = folder / "jwks.json"
    jwks.write_text(json.dumps(key.jwks()))
    port = free_port()
    settings = {
        "PARTSTREAM_INVENTORY_DATABASE_URL": dsn,
        "PARTSTREAM_JWKS": str(jwks),
        "PARTSTREAM_REVOCATION_TARGETS": "none",
        "PARTSTREAM_INVENTORY_PORT": str(port),
        "PARTSTREAM_LIMITS": UNLIMITED,
    }
    program = [sys.executable, "-m", "inventory_svc"]
    subprocess.run([*program, "migrate"], env=os.environ | settings, check=True, capture_output=True)
    with (folder / "service.log").open("w") as log:
        service = subprocess.Popen([*program, "serve"], env=os.environ | settings, stderr=log)
    try:
        _wait_until_ready(service, port)
        token = key.mint(
            subject="00000000-0000-4000-8000-00000000bead",
            name="bench",
            permissions=SERVICE_PERMISSIONS,
            ttl_seconds=86_400,
        )
        yield InventoryProcess(service.pid, port, dsn, token, folder)
    finally:
        service.send_signal(signal.SIGTERM)
        service.wait(15)


def _wait_until_ready(service: subprocess.Popen[bytes], port: int) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        ready = grpc.channel_ready_future(channel)
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and service.poll() is None:
            with contextlib.suppress(grpc.FutureTimeoutError):
                ready.result(timeout=0.5)
                return
    message = "the service did not become ready"
    raise RuntimeError(message)
