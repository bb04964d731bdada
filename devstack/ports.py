"""TCP ports on the loopback address."""

import contextlib
import json
import socket
from collections.abc import Iterable
from pathlib import Path

from devstack.errors import PortTaken

LOOPBACK = "127.0.0.1"
PORTS_FILE = "ports.json"


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Say whether a server could listen on the port now."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        # As servers do: a port whose last connections are in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(preferred: int | None = None) -> int:
    """Answer ``preferred`` if it is free, else a port chosen by the system."""
    if preferred and is_free(preferred):
        return preferred
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def require_free(wanted: Iterable[tuple[int, str]], host: str = LOOPBACK) -> None:
    """Raise PortTaken naming every port that is in use, with the process it was meant for."""
    taken = [f"port {port}, wanted for {name}" for port, name in wanted if not is_free(port, host)]
    if taken:
        message = f"Already in use on {host}: {'; '.join(taken)}. Stop what listens there, or choose other ports."
        raise PortTaken(message)


def remembered_port(data_folder: Path, name: str) -> int:
    """Answer the port that ``name`` had last time if it is free, else a new one, and remember it."""
    path = data_folder / PORTS_FILE
    ports: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}
    ports[name] = free_port(ports.get(name))
    path.write_text(json.dumps(ports) + "\n")
    return ports[name]
