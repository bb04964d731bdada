"""A stack started by `./partstream up` as a person would, whose processes a test may kill."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from stack import stack_state
from stack.errors import StackNotRunning
from stack.servers.launcher import child_command
from stack.servers.ports import free_port, is_free
from stack.stack_state import ProcessState, StackState
from stack.supervision.leftovers import is_alive
from stack.supervision.probes import is_healthy
from tests.harness.no_limits import RATES

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 110.0
STOP_SECONDS = 30.0  # ten on a quiet machine
POLL_SECONDS = 0.05
KEPT_LINES = 4_000
SHOWN_LINES = 400
ADMIN_PASSWORD = "flow-tests-only-0123"


class RunningStack:
    """Call `start`, then `stop`. `edges` copies of the edge listen on consecutive ports."""

    def __init__(
        self, folder: Path, *, edges: int = 2, settings: Mapping[str, str] | None = None, sample: bool = False
    ) -> None:
        self.folder = folder
        self.port = _free_ports(edges)
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PARTSTREAM_")},
            "PARTSTREAM_INVENTORY_PORT": str(free_port()),
            "PARTSTREAM_CONTENT_PORT": str(free_port()),
            "PARTSTREAM_IDENTITY_PORT": str(free_port()),
            "PARTSTREAM_ADMIN_PASSWORD": ADMIN_PASSWORD,
            "PARTSTREAM_LIMITS": RATES,
            "NO_COLOR": "1",
            **(settings or {}),
        }
        self._arguments = ["--data-dir", str(folder), "--port", str(self.port), "--edges", str(edges)]
        self._arguments += [] if sample else ["--empty"]
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._ready = threading.Event()
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Return once the banner is shown."""
        # A killed test run leaves no stack behind.
        command = child_command([sys.executable, "-m", "cli", "up", *self._arguments])
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._ready = threading.Event()  # each run has its own: the reader of the last one may still set that
        threading.Thread(target=self._read, args=(self._process, self._ready), daemon=True).start()
        if not self._ready.wait(START_SECONDS) or self._process.poll() is not None:
            self.stop()
            self.show_log()
            message = "The stack did not start; its log is above."
            raise RuntimeError(message)

    def stop(self) -> int:
        """End everything in order; return the exit code."""
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGINT)
        try:
            return self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def show_log(self) -> None:
        """Print the last lines of the merged log: pytest shows them below a failure, whose reason stays one line."""
        sys.stderr.write("\n".join([*list(self._lines)[-SHOWN_LINES:], ""]))

    @property
    def state(self) -> StackState:
        """What the stack tells other verbs."""
        try:
            return stack_state.read_running(self.folder)
        except StackNotRunning as error:
            code = self._process.poll() if self._process is not None else None
            self.show_log()
            message = f"{error} It ended with {code}."
            raise AssertionError(message) from error

    def process(self, name: str) -> ProcessState:
        """Return one process of the stack by its name."""
        return next(process for process in self.state.processes if process.name == name)

    def edge_url(self, number: int = 1) -> str:
        """Return the address of an edge, counted from 1."""
        return f"http://127.0.0.1:{self.port + number - 1}"

    def live_url(self, number: int = 1) -> str:
        """Return the WebSocket address of an edge."""
        return f"ws://127.0.0.1:{self.port + number - 1}/api/v1/live"

    def signing_key(self) -> Path:
        """Return where the key is that tests mint tokens with."""
        return Path(self.state.settings["PARTSTREAM_SIGNING_KEY_FILE"])

    def targets(self, service: str) -> tuple[str, ...]:
        """Return the addresses of `inventory` or `content`."""
        return tuple(self.state.settings[f"PARTSTREAM_{service.upper()}_TARGETS"].split(","))

    async def kill(self, name: str) -> None:
        """End a process without warning; return once the supervisor has another one in its place, and that is well."""
        running = self.process(name)
        killed = running.pid
        # By its start time too: numbers are given out again, to somebody else's processes.
        assert killed is not None
        if not is_alive(running):
            self.show_log()
            pytest.fail(f"{name} is not there to be killed: {running}")
        os.kill(killed, signal.SIGKILL)
        deadline = time.monotonic() + START_SECONDS
        while True:
            now = self.process(name)
            if now.pid not in {None, killed} and await asyncio.to_thread(is_healthy, now):
                return
            if time.monotonic() > deadline:
                self.show_log()
                pytest.fail(
                    f"{name} did not come back within {START_SECONDS:.0f} s; process {killed} was killed: {now}"
                )
            await asyncio.sleep(POLL_SECONDS)

    async def verb(self, name: str, *arguments: str) -> tuple[int, str]:
        """Run a verb against this stack; answer its exit code and what it printed."""
        process = await self.begin_verb(name, *arguments)
        output, _ = await process.communicate()
        return process.returncode or 0, output.decode(errors="replace")

    async def begin_verb(self, name: str, *arguments: str) -> asyncio.subprocess.Process:
        """Start a verb against this stack."""
        command: Sequence[str] = [sys.executable, "-m", "cli", name, *arguments]
        return await asyncio.create_subprocess_exec(
            *command,
            cwd=ROOT,
            env={**self._environment, "PARTSTREAM_DATA_DIR": str(self.folder)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )

    def _read(self, process: subprocess.Popen[str], ready: threading.Event) -> None:
        assert process.stdout is not None
        with process.stdout as output:
            for line in output:
                self._lines.append(line.rstrip("\n"))
                if "Partstream is ready" in line:
                    ready.set()
        ready.set()  # ended: whoever waits looks at the process


def _free_ports(count: int) -> int:
    """Return the first of `count` consecutive free ports."""
    while True:
        first = free_port()
        if first + count < 65_536 and all(is_free(first + offset) for offset in range(count)):
            return first
