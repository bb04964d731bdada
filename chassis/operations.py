"""The operations port of a process: its metrics, its liveness, and its health in detail.

Threads of its own serve it, so that it responds also while the event loop is blocked: liveness schedules a call on the
loop and waits for a bounded time. It is for operators and Prometheus, has no authentication, and changes nothing.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Any, Final, Literal

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from chassis.addresses import PortTaken, joined
from chassis.settings import port as port_number
from chassis.settings import setting, text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from concurrent.futures import Future

log = logging.getLogger(__name__)

LOOP_SECONDS: Final = 2.5  # a loop that does not respond for so long is blocked
PING_SECONDS: Final = 2.0  # a dependency that takes longer is unavailable
DETAIL_SECONDS: Final = 5.0  # longer than the pings that it waits for
_CLIENT_SECONDS: Final = 10.0  # for a client to send its request and to read the response
_AT_ONCE: Final = 16  # requests served at a time; Prometheus and a probe are two
_JSON: Final = "application/json"

Status = Literal["ok", "degraded", "down"]


@dataclass(frozen=True, kw_only=True)
class OperationsSettings:
    """Where a process serves its operations port."""

    operations_host: str = setting(
        "PARTSTREAM_OPERATIONS_HOST",
        text,
        default="127.0.0.1",
        fallback="PARTSTREAM_HOST",
        help="address of the operations port; unset = PARTSTREAM_HOST",
    )
    operations_port: int | None = setting(
        "PARTSTREAM_OPERATIONS_PORT",
        port_number,
        default=None,
        help="HTTP port for metrics and detailed health of this process; unset = none, or chosen by `up`",
    )


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of a dependency's ping."""

    status: Status
    required: bool = True
    ms: float = 0.0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class HealthDetails:
    """``ok``, ``degraded`` (an optional dependency is unavailable) or ``down``, with the result of each check."""

    status: Status
    checks: Mapping[str, CheckResult] = field(default_factory=dict)


def summarised(checks: Mapping[str, CheckResult]) -> HealthDetails:
    """Return the health of the process: a required check that fails makes it ``down``."""
    bad = [check for check in checks.values() if check.status != "ok"]
    return HealthDetails("down" if any(check.required for check in bad) else "degraded" if bad else "ok", checks)


async def checked(ping: Callable[[], Awaitable[object]], *, required: bool = True) -> CheckResult:
    """Return the result of a ping, which raises while its dependency is unavailable."""
    began = time.perf_counter()
    status: Status = "ok"
    detail = ""
    try:
        async with asyncio.timeout(PING_SECONDS):
            await ping()
    except Exception as error:  # noqa: BLE001 - whatever it raises, the dependency is unavailable
        status = "down" if required else "degraded"
        detail = "timeout" if isinstance(error, TimeoutError) else type(error).__name__
    return CheckResult(status, required, round((time.perf_counter() - began) * 1000, 1), detail)


class OperationsPort:
    """Serves ``/metrics``, ``/health/live`` and ``/health/ready`` from ``start`` to ``stop``."""

    def __init__(self, host: str, port: int | None, details: Callable[[], Awaitable[HealthDetails]]) -> None:
        """``details`` runs in the event loop of ``start``; without a port nothing is served."""
        self._host = host
        self._port = port
        self._details = details
        self._server: _Server | None = None

    def start(self) -> None:
        """Listen; raise ``PortTaken`` when that is not possible."""
        if self._port is None:
            return
        try:
            self._server = _Server(self._host, self._port, asyncio.get_running_loop(), self._details)
        except OSError as error:
            message = f"operations port {self._port} on {self._host} is in use: {error.strerror}"
            raise PortTaken(message) from None
        threading.Thread(target=self._server.serve_forever, name="operations", daemon=True).start()
        log.info("operations port listening address=%s", joined(self._host, self.port))

    @property
    def port(self) -> int:
        """Return the port; 0 while the server does not listen."""
        return 0 if self._server is None else int(self._server.server_address[1])

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            await asyncio.to_thread(self._server.shutdown)
            self._server.server_close()
            self._server = None


class _Server(ThreadingMixIn, TCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(
        self,
        host: str,
        port: int,
        loop: asyncio.AbstractEventLoop,
        details: Callable[[], Awaitable[HealthDetails]],
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._room = threading.BoundedSemaphore(_AT_ONCE)
        self._loop = loop
        self._details = details
        super().__init__((host, port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own; beyond the bound it is closed at once."""
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the library's signature
        """Log at DEBUG: a client that disconnects is no error of this process."""
        log.debug("operations request failed error=%r", sys.exception())

    def live(self) -> HealthDetails:
        """Return whether the event loop responds."""

        async def respond() -> HealthDetails:
            return HealthDetails("ok")

        return self._result(asyncio.run_coroutine_threadsafe(respond(), self._loop), LOOP_SECONDS)

    def ready(self) -> HealthDetails:
        """Return the health of the dependencies."""

        async def details() -> HealthDetails:
            return await self._details()

        return self._result(asyncio.run_coroutine_threadsafe(details(), self._loop), DETAIL_SECONDS)

    @staticmethod
    def _result(result: Future[HealthDetails], seconds: float) -> HealthDetails:
        try:
            return result.result(seconds)
        except TimeoutError:
            result.cancel()
            return HealthDetails("down", {"event-loop": CheckResult("down", detail=f"blocked for {seconds} s")})


class _Handler(BaseHTTPRequestHandler):
    timeout = _CLIENT_SECONDS
    server: _Server

    def do_GET(self) -> None:
        match self.path.partition("?")[0]:
            case "/metrics":
                self._respond(HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest())
            case "/health/live":
                self._respond_health(self.server.live())
            case "/health/ready":
                self._respond_health(self.server.ready())
            case _:
                self._respond(HTTPStatus.NOT_FOUND, _JSON, b'{"status": "not found"}')

    do_HEAD = do_GET  # noqa: N815 - likewise

    def _respond_health(self, details: HealthDetails) -> None:
        status = HTTPStatus.SERVICE_UNAVAILABLE if details.status == "down" else HTTPStatus.OK
        self._respond(status, _JSON, json.dumps(asdict(details)).encode())

    def _respond(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response_only(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Log nothing: probes come every second."""
