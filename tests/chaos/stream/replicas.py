"""Replicas of the inventory service as a scenario handles them: started, killed, drained, always on the same port."""

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
_POOL_COMPLAINS = "Failed to restore the pool connection floor"  # asyncpg tells a lost database by a traceback
_WINDOW_BYTES = 200_000  # about 200 entries: watchers that lag fall out of it and page through the table


class Nursery:
    """The process that forks replicas."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Begin; the first replica waits until everything is imported."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.stream.nursery"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def stop(self) -> None:
        """End it and every replica."""
        if self._process is not None and self._process.stdin is not None and self._process.stdout is not None:
            self._process.stdin.close()
            self._process.wait()
            self._process.stdout.close()

    async def fork(self, given: dict[str, Any]) -> int:
        """A new replica's pid."""
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
    """One replica: a port that stays, a process that may not."""

    nursery: Nursery
    dsn: str
    jwks: Path
    log: Path
    clock_ahead: float = 0.0
    pid: int | None = None
    # Knows when it started: its number may long be another process's, of another test even, when it is to end.
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
        self.pid = await self.nursery.fork(
            {"environment": environment, "log": str(self.log), "clock_ahead": self.clock_ahead}
        )
        with contextlib.suppress(psutil.NoSuchProcess):
            self._process = psutil.Process(self.pid)

    async def listens(self, seconds: float = 30.0) -> None:
        """Return once somebody accepts connections on the port."""
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
        """Stop the process: its connections stay, and nothing it was sent is responded to."""
        if self._process is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                self._process.suspend()

    def resume(self) -> None:
        """Let it go on, as if nothing had happened."""
        if self._process is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                self._process.resume()

    async def end(self, how: signal.Signals) -> None:
        """Send a signal and return once the process is gone."""
        process, self._process, self.pid = self._process, None, None
        if process is None:
            return
        async with asyncio.timeout(20):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(how)
                process.resume()  # one that hangs ends by force only
            while process.is_running():  # noqa: ASYNC110 - the nursery buries it, and tells nobody
                await asyncio.sleep(0.005)

    def troubles(self) -> str:
        """What the log has of failures that must not be, whatever happens around the process."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join([line for line in lines if _is_trouble(line)][:3])


def _is_trouble(line: str) -> bool:
    try:
        event = json.loads(line)
    except ValueError:
        return any(word in line for word in ("Traceback", "was never retrieved", "the replica failed"))
    return bool(event["level"] == "error" or event.get("exception")) and _POOL_COMPLAINS not in event["message"]
