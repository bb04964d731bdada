"""Replicas of the inventory service: started, killed, drained, always on the same port."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from stack.servers.ports import free_port
from tests.harness.no_limits import RATES

ROOT = Path(__file__).resolve().parents[3]
_POOL_ERROR = "Failed to restore the pool connection floor"  # asyncpg logs a lost database with a traceback
_WINDOW_BYTES = 200_000  # about 200 entries: watchers that lag read from the table


class ForkServer:
    """The process that forks replicas."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start; the first replica waits for the imports."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.stream.fork_server"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def stop(self) -> None:
        """Stop it and every replica."""
        if self._process is not None and self._process.stdin is not None and self._process.stdout is not None:
            self._process.stdin.close()
            self._process.wait()
            self._process.stdout.close()

    async def fork(self, given: dict[str, Any]) -> int:
        """Return the pid of a new replica."""
        return await asyncio.to_thread(self._fork, given)

    def _fork(self, given: dict[str, Any]) -> int:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(given) + "\n")
        self._process.stdin.flush()
        return int(json.loads(self._process.stdout.readline())["pid"])


@dataclass
class Replica:
    """One replica: its port is constant, its process is not."""

    fork_server: ForkServer
    dsn: str
    jwks: Path
    log: Path
    clock_ahead: float = 0.0
    pid: int | None = None
    # Has the start time too: the pid may belong to another process later.
    _process: psutil.Process | None = None

    def __post_init__(self) -> None:
        self.port = free_port()

    async def start(self) -> None:
        """Return once it listens."""
        environment = {
            "PARTSTREAM_INVENTORY_DATABASE_URL": self.dsn,
            "PARTSTREAM_JWKS": str(self.jwks),
            "PARTSTREAM_REVOCATION_TARGETS": "none",
            "PARTSTREAM_INVENTORY_PORT": str(self.port),
            "PARTSTREAM_LOG_WINDOW_BYTES": str(_WINDOW_BYTES),
            "PARTSTREAM_INVENTORY_POOL_SIZE": "6",
            "PARTSTREAM_LOG_FORMAT": "json",
            "PARTSTREAM_LIMITS": RATES,
        }
        self.pid = await self.fork_server.fork(
            {"environment": environment, "log": str(self.log), "clock_ahead": self.clock_ahead}
        )
        with contextlib.suppress(psutil.NoSuchProcess):
            self._process = psutil.Process(self.pid)

    async def listens(self, seconds: float = 30.0) -> None:
        """Return once the port accepts connections."""
        async with asyncio.timeout(seconds):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    await asyncio.sleep(0.02)
                else:
                    writer.close()
                    return

    def hang(self) -> None:
        """Suspend the process: its connections stay open, without responses."""
        if self._process is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                self._process.suspend()

    def resume(self) -> None:
        """Resume the process."""
        if self._process is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                self._process.resume()

    async def end(self, how: signal.Signals) -> None:
        """Send a signal and return once the process has ended."""
        process, self._process, self.pid = self._process, None, None
        if process is None:
            return
        async with asyncio.timeout(20):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(how)
                process.resume()  # a suspended process handles no signal
            while process.is_running():  # noqa: ASYNC110 - the fork server reaps it
                await asyncio.sleep(0.005)

    def errors(self) -> str:
        """Return log lines of failures that no fault explains."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join([line for line in lines if _is_error(line)][:3])


def _is_error(line: str) -> bool:
    try:
        event = json.loads(line)
    except ValueError:
        return any(word in line for word in ("Traceback", "was never retrieved", "the replica failed"))
    return bool(event["level"] == "error" or event.get("exception")) and _POOL_ERROR not in event["message"]
