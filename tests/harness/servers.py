"""The servers of one test run: started by the first test that needs them, ended when the run ends, however it ends.

A keeper process owns them (``python -m tests.harness.servers FOLDER PID``). It waits for the test run with that process
id to end, so that neither Ctrl-C nor a killed run leaves a server behind.
"""

import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from stack.servers.databases import NAMES, ensure_databases
from stack.servers.postgres import EmbeddedPostgres
from stack.servers.redis import EmbeddedRedis, find_server

# Guards servers on the loopback address that hold nothing and live as long as one test run.
PASSWORD = "test-run-only"
START_TIMEOUT_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class TestServers:
    """Where the servers of this run are."""

    __test__ = False

    keeper_pid: int
    admin_dsn: str
    redis_url: str


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock shared by all workers of the run."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def ensure_servers(folder: Path, run_pid: int) -> TestServers:
    """Return the servers of the run, starting them if no other worker has."""
    with locked(folder / "servers.lock"):
        state = folder / "servers.json"
        if not state.exists():
            _start_keeper(folder, run_pid, state)
        return TestServers(**json.loads(state.read_text()))


def stop_servers(folder: Path) -> None:
    """End the servers of the run, if any were started, and wait for it."""
    state = folder / "servers.json"
    if not state.exists():
        return
    # A keeper that was killed left its number behind, which may be anybody's by now.
    with contextlib.suppress(psutil.Error):
        keeper = psutil.Process(int(json.loads(state.read_text())["keeper_pid"]))
        if str(folder) not in keeper.cmdline():
            return
        keeper.terminate()
    deadline = time.monotonic() + 15
    while state.exists() and time.monotonic() < deadline:
        time.sleep(0.02)


def _start_keeper(folder: Path, run_pid: int, state: Path) -> None:
    log = folder / "servers.log"
    # Not a Popen object: the keeper outlives the worker that happened to start it.
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "tests.harness.servers", str(folder), str(run_pid)],
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while not state.exists():
        if os.waitpid(pid, os.WNOHANG) != (0, 0) or time.monotonic() > deadline:
            message = f"The test servers did not start:\n{log.read_text()}"
            raise RuntimeError(message)
        time.sleep(0.02)


def keep(folder: Path, run_pid: int) -> None:
    """Run the servers until the test run ends or this process is told to end."""
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())
    signal.signal(signal.SIGINT, lambda *_: told.set())
    binary = find_server()
    if binary is None:
        message = "The tests need a redis-server: none on PATH and none in the virtual environment."
        raise RuntimeError(message)
    postgres = EmbeddedPostgres(folder / "postgres", password=PASSWORD, durable=False)
    redis = EmbeddedRedis(folder / "redis", server=binary, password=PASSWORD, durable=False)
    state = folder / "servers.json"
    try:
        admin_dsn = postgres.start(log=folder / "postgres.log")
        ensure_databases(admin_dsn, dict.fromkeys(NAMES, PASSWORD))
        servers = TestServers(os.getpid(), admin_dsn, redis.start())
        draft = folder / "servers.json.draft"
        draft.write_text(json.dumps(asdict(servers)))
        draft.rename(state)
        _wait_for_end(run_pid, told)
    finally:
        redis.stop()
        postgres.stop()
        state.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for_end(pid: int, told: threading.Event) -> None:
    with contextlib.ExitStack() as stack:
        handle = None
        if hasattr(os, "pidfd_open"):
            try:
                handle = os.pidfd_open(pid)
            except ProcessLookupError:
                return
            stack.callback(os.close, handle)
        while not told.is_set():
            if handle is not None:
                if select.select([handle], [], [], 0.2)[0]:
                    return
            elif os.getppid() == 1 or told.wait(0.2):
                return


if __name__ == "__main__":
    keep(Path(sys.argv[1]), int(sys.argv[2]))
