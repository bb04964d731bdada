"""Health probes of processes. Every probe returns within PROBE_TIMEOUT_SECONDS and never raises."""

import http.client
from collections.abc import Callable
from urllib.parse import urlsplit

from stack.servers import postgres, redis
from stack.stack_state import ProcessState
from stack.supervision.leftovers import is_alive

PROBE_TIMEOUT_SECONDS = 3.0  # a process waits 2 s for the ping of a dependency


def is_healthy(process: ProcessState) -> bool:
    """Return whether the process does its work now."""
    return is_alive(process) and PROBES[process.probe](process)


def _postgres(process: ProcessState) -> bool:
    return postgres.is_ready(process.target)


def _redis(process: ProcessState) -> bool:
    return redis.is_ready(process.target)


def _http(process: ProcessState) -> bool:
    return responds(process.target)


def responds(url: str) -> bool:
    """Return whether an HTTP server responds with 200."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=PROBE_TIMEOUT_SECONDS)
    try:
        connection.request("GET", address.path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _said_ready(process: ProcessState) -> bool:
    return process.ready


PROBES: dict[str, Callable[[ProcessState], bool]] = {
    "postgres": _postgres,
    "redis": _redis,
    "http": _http,
    # Without a port of its own: it writes a line with the word `ready`; from then on it is healthy while it lives.
    "log": _said_ready,
}
