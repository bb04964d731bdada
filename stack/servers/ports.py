"""TCP ports on the loopback address."""

import contextlib
import json
import random
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from stack.errors import PortTaken, StackError

LOOPBACK = "127.0.0.1"
PORTS_FILE = "ports.json"
EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
LOWEST_CHOSEN = 10_000
FEWEST_TO_CHOOSE_FROM = 2_000
ATTEMPTS = 50


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Return whether a server could listen on the port now."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        # As servers do: a port whose last connections are in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def require_own_address(host: str, setting: str = "PARTSTREAM_HOST") -> None:
    """Raise StackError when no server could listen there, whatever the port."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        try:
            probe.bind((host, 0))
        except OSError as error:
            message = f"{setting} is {host}, which is no IPv4 address of this machine: {error.strerror}."
            raise StackError(message) from None


def free_port(preferred: int | None = None) -> int:
    """Return ``preferred`` if it is free, else one that is.

    Not one of those that the system hands to outgoing connections: while a server is down for a moment, a client's
    connection may get its port, even the one that was meant to reach the server, and the server does not come back.
    """
    if preferred and is_free(preferred):
        return preferred
    candidates = range(LOWEST_CHOSEN, _first_ephemeral_port())
    if len(candidates) >= FEWEST_TO_CHOOSE_FROM:
        for _ in range(ATTEMPTS):
            chosen = random.choice(candidates)  # noqa: S311 - spreads stacks, keeps no secret
            if is_free(chosen):
                return chosen
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _first_ephemeral_port() -> int:
    try:
        return int(EPHEMERAL_RANGE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 32_768  # Linux's own; others begin at 49,152


@dataclass(frozen=True, slots=True)
class WantedPort:
    """A port that was asked for: by whom, and which option or setting changes it."""

    port: int
    process: str
    setting: str
    host: str = LOOPBACK


def require_free(wanted: Iterable[WantedPort]) -> None:
    """Raise PortTaken naming every port that is in use, with the process it was meant for and what changes it."""
    taken = [
        f"port {one.port} on {one.host}, wanted for {one.process} ({one.setting})"
        for one in wanted
        if not is_free(one.port, one.host)
    ]
    if taken:
        message = f"Already in use: {'; '.join(taken)}. Stop what listens there, or choose other ports."
        raise PortTaken(message)


def remembered_port(data_folder: Path, name: str) -> int:
    """Return the port that ``name`` had last time if it is free, else a new one, and remember it."""
    path = data_folder / PORTS_FILE
    ports = _remembered(path)
    ports[name] = free_port(ports.get(name))
    path.write_text(json.dumps(ports) + "\n")
    return ports[name]


def _remembered(path: Path) -> dict[str, int]:
    try:
        return {str(name): int(port) for name, port in json.loads(path.read_text()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}  # the first time, or cut short by a full disk
