"""List and close the connections of the listener through their file descriptors.

The listener accepts connections in its own threads and passes them to Python only with a request. They are file
descriptors of this process: they can be listed, and closed by number without a race, because a duplicate is checked
before it is used.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.http.connections import Peer

FOLDER: Final = "/proc/self/fd" if sys.platform == "linux" else "/dev/fd"
_TCP_INFO_BYTES: Final = 64
_LAST_DATA_RECEIVED: Final = slice(52, 56)  # milliseconds ago, in Linux's `struct tcp_info`


@dataclass(frozen=True, slots=True)
class OpenSocket:
    """An accepted connection."""

    peer: Peer
    number: int  # of its file descriptor
    quiet_ms: int  # since the client sent data; 0 where the system does not report it


def open_files() -> int:
    """Return how many file descriptors this process has."""
    return len(os.listdir(FOLDER))  # noqa: PTH208 - no paths are needed


def accepted(port: int) -> list[OpenSocket]:
    """Return the connections that were accepted on ``port``. 20,000 take about 0.1 s: call it in a thread."""
    found = []
    for name in os.listdir(FOLDER):  # noqa: PTH208 - no paths are needed
        with contextlib.suppress(OSError), _borrowed(int(name)) as borrowed:
            local = borrowed.getsockname()
            if isinstance(local, tuple) and local[1] == port:  # the name of a Unix socket is a text
                host, number = borrowed.getpeername()[:2]
                found.append(OpenSocket((host, str(number)), int(name), _quiet_ms(borrowed)))
    return found


def duplicate(port: int, wanted: OpenSocket) -> socket.socket | None:
    """Return a socket for the same connection, or ``None`` when it has ended."""
    try:
        copy = socket.socket(fileno=os.dup(wanted.number))
    except OSError:
        return None
    try:
        if copy.getsockname()[1] == port and copy.getpeername()[:2] == (wanted.peer[0], int(wanted.peer[1])):
            return copy
    except (OSError, IndexError):  # the name of a Unix socket is a text
        pass
    copy.close()
    return None


def end(port: int, unwanted: OpenSocket) -> bool:
    """Close a connection in both directions, so that the listener drops it; return whether it was still open."""
    copy = duplicate(port, unwanted)
    if copy is None:
        return False
    with copy, contextlib.suppress(OSError):
        copy.shutdown(socket.SHUT_RDWR)
    return True


@contextlib.contextmanager
def _borrowed(number: int) -> Iterator[socket.socket]:
    """Yield a socket over a descriptor of the listener, which is not closed afterwards."""
    borrowed = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=number)
    try:
        yield borrowed
    finally:
        borrowed.detach()


def _quiet_ms(connection: socket.socket) -> int:
    if sys.platform != "linux":
        return 0
    raw = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    return int.from_bytes(raw[_LAST_DATA_RECEIVED], sys.byteorder)
