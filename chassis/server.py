"""The gRPC server of every service: interceptor, health of the dependencies, reflection, graceful stop."""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import TYPE_CHECKING

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from chassis import telemetry
from chassis.addresses import PortTaken, is_loopback, joined
from chassis.background import end
from chassis.call_limits import CallLimits
from chassis.channels import CLIENT_KEEPALIVE_MS, KEEPALIVE_MS, MAX_MESSAGE_BYTES
from chassis.interceptor import CallInterceptor
from chassis.reflection import enable_reflection
from partstream.changes.v1.change_log_service_pb2 import DESCRIPTOR

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence

    from google.protobuf.message import Message

    from chassis.limits import Limits
    from chassis.revocation.listing import RevocationList
    from chassis.store_state import StoreState
    from chassis.tls import ServerTls
    from chassis.tokens import TokenVerifier

log = logging.getLogger(__name__)

_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", CLIENT_KEEPALIVE_MS // 2),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # Old connections end, so that new replicas get their share; gRPC adds 10 % jitter itself.
    ("grpc.max_connection_age_ms", 30 * 60_000),
    ("grpc.max_connection_age_grace_ms", 10_000),
    # Otherwise two processes could share a port and its calls.
    ("grpc.so_reuseport", 0),
)
LOG_SERVICE: str = DESCRIPTOR.services_by_name["ChangeLogService"].full_name  # of a service with a change log
WRITES_SUFFIX = ".Writes"  # of a health service name: whether writes work while the service serves
_HEALTH_SECONDS = 1.0
_PING_SECONDS = 2.5  # a dependency that takes longer is unavailable: a ping may wait for a full pool
DRAIN_SECONDS = 5.0


class Server:
    """One service on one port."""

    def __init__(  # noqa: PLR0913 - the composition root names each collaborator
        self,
        name: str,
        *,
        verifier: TokenVerifier,
        revocations: RevocationList,
        pack: Callable[[object], Message | None],
        pings: Sequence[Callable[[], Awaitable[None]]],
        multi_line: Collection[str] = frozenset(),
        has_log: bool = True,
        limits: Limits | None = None,
        store: StoreState | None = None,
    ) -> None:
        """``name`` is the full service name; ``pings`` raise while a dependency is away.

        ``store`` says whether writes work.

        ``multi_line`` names the fields, in full, whose texts may have line ends.
        """
        self.name = name
        self._pings = pings
        self._store = store
        self._health = health.aio.HealthServicer()
        interceptor = CallInterceptor(verifier, pack, revocations, multi_line, CallLimits(limits), store)
        self._server = grpc.aio.server(
            interceptors=[*telemetry.server_interceptors(), interceptor],
            options=_OPTIONS,
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._services = (name, LOG_SERVICE) if has_log else (name,)
        self._watch: asyncio.Task[None] | None = None
        self.port = 0

    @property
    def grpc_server(self) -> grpc.aio.Server:
        """Return the server to add servicers to."""
        return self._server

    async def start(self, host: str, port: int, tls: ServerTls | None = None, *, reflection: str = "auto") -> None:
        """Listen; port 0 selects a free one. Raise ``PortTaken`` when the port is in use.

        ``reflection`` is ``on``, ``off``, or ``auto``: on for a loopback address.
        """
        if reflection == "on" or (reflection == "auto" and is_loopback(host)):
            enable_reflection(self._server, (*self._services, health.SERVICE_NAME))
        self.port = self._bind(host, port, tls)
        if tls is None and not is_loopback(host):
            log.warning(
                "gRPC without TLS address=%s: tokens and data can be read on the network; set "
                "PARTSTREAM_GRPC_TLS_CERT, or PARTSTREAM_GRPC_HOST to a loopback address",
                joined(host, self.port),
            )
        await self._server.start()
        await self._check_health()
        self._watch = asyncio.create_task(self._keep_health(), name="health")
        log.info("listening service=%s address=%s tls=%s", self.name, joined(host, self.port), "on" if tls else "off")

    def _bind(self, host: str, port: int, tls: ServerTls | None) -> int:
        address = joined(host, port)
        try:
            if tls is None:
                bound = self._server.add_insecure_port(address)
            else:
                bound = self._server.add_secure_port(address, tls.grpc_credentials())
        except RuntimeError:
            bound = 0
        if bound == 0:
            message = f"Port {port} on {host} is in use. Stop the other process, or choose another port."
            raise PortTaken(message)
        return bound

    async def stop(self, drain: Callable[[], Awaitable[None]] | None = None) -> None:
        """Report NOT_SERVING, end streams by ``drain``, finish unary calls, stop."""
        if self._watch is not None:
            await end(self._watch)
        await self._health.enter_graceful_shutdown()
        if drain is not None:
            await drain()
        await self._server.stop(DRAIN_SECONDS)

    async def _keep_health(self) -> None:
        while True:
            await asyncio.sleep(_HEALTH_SECONDS)
            await self._check_health()

    async def _check_health(self) -> None:
        status = health_pb2.HealthCheckResponse.SERVING
        try:
            for ping in self._pings:
                async with asyncio.timeout(_PING_SECONDS):
                    await ping()
        except Exception as error:  # noqa: BLE001 - whatever a ping meets, the dependency is not as it must be
            log.warning("not serving service=%s error=%s", self.name, str(error) or type(error).__name__)
            status = health_pb2.HealthCheckResponse.NOT_SERVING
        for service in ("", *self._services):
            await self._health.set(service, status)
        if self._store is not None:
            failing = status != health_pb2.HealthCheckResponse.SERVING or bool(self._store.cause)
            writes = health_pb2.HealthCheckResponse.NOT_SERVING if failing else status
            await self._health.set(self.name + WRITES_SUFFIX, writes)


async def until_stopped() -> None:
    """Return on SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await stopped.wait()
