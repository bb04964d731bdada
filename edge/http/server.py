"""The Granian server, embedded in this process and its event loop."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
from typing import TYPE_CHECKING, Any, Final

from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from granian.server.embed import Server

from chassis.addresses import PortTaken

if TYPE_CHECKING:
    from chassis.tls import ServerTls

BACKLOG: Final = 2048
CONNECTIONS: Final = 20_000  # of one process; memory, not the listener, limits open sockets
RESERVED_FILES: Final = 1_000  # for files other than client connections: databases, channels, logs
MAX_HEAD_BYTES: Final = 128 * 1024  # beyond it the listener responds 431 itself; `edge.http.request_head` allows less
HEAD_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 0.01
_OWN: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - local address of a listener on all addresses
STOP_SECONDS: Final = 3.0  # for requests in progress; then they are cancelled


class HttpServer:
    """Listens from ``start`` to ``stop``."""

    def __init__(
        self, app: Any, host: str, port: int, tls: ServerTls | None = None, *, head_seconds: float = HEAD_SECONDS
    ) -> None:
        """Serve ``app`` on an address, with ``tls`` over https; the head of a request may take ``head_seconds``."""
        self._address = (host, port)
        self._server = Server(
            app,
            address=host,
            port=port,
            interface=Interfaces.ASGINL,
            backlog=BACKLOG,
            backpressure=capacity(),
            # With HTTP/2 enabled the listener waits without limit for the first byte, which tells the two apart.
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(
                header_read_timeout=round(head_seconds * 1000), max_buffer_size=MAX_HEAD_BYTES
            ),
            log_enabled=False,
            ssl_cert=tls.certificate if tls else None,
            ssl_key=tls.key if tls else None,
            ssl_protocol_min=SSLProtocols.tls12,  # some clients of shops have no newer one
        )
        self._task: asyncio.Task[None] | None = None

    def start(self) -> asyncio.Task[None]:
        """Start to listen; the task ends when the listener does, with its error if it failed.

        Raise ``PortTaken`` when another process listens there: the server itself would panic.
        """
        _require_free(*self._address)
        self._task = asyncio.create_task(self._server.serve(), name="http-server")
        return self._task

    async def until_listening(self) -> None:
        """Return once a connection is accepted, or when the listener has ended: the server has no such event."""
        host, port = self._address
        while self._task is not None and not self._task.done():
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(_OWN.get(host, host), port)
                writer.close()
                return
            await asyncio.sleep(_LOOK_SECONDS)

    async def stop(self) -> None:
        """Stop listening and let requests in progress finish, within a few seconds."""
        if self._task is None:
            return
        self._server.stop()  # type: ignore[no-untyped-call]
        with contextlib.suppress(asyncio.CancelledError, TimeoutError):
            await asyncio.wait_for(self._task, STOP_SECONDS)
        self._task = None


def capacity() -> int:
    """Return how many connections the listener accepts; beyond, it waits until one ends."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, min(CONNECTIONS, files - RESERVED_FILES if files > 2 * RESERVED_FILES else files // 2))


def _require_free(host: str, port: int) -> None:
    kind = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(kind, socket.SOCK_STREAM) as probe:
        # A port whose last connections are in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            message = f"port {port} on {host} is taken: {error.strerror}"
            raise PortTaken(message) from None
