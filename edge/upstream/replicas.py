"""The replicas of a service, each with its channel; one that does not respond is left out until it does.

A process that is stopped or whose event loop is blocked keeps its connections: calls to it wait until their deadline,
and a channel over all replicas would still send it its share. So each replica is probed, and calls that wait for one
that is left out are sent to another. The last replica is never left out.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from chassis.channels import open_channel
from chassis.errors import StoreUnavailable
from chassis.server import WRITES_SUFFIX
from edge.metrics import REPLICAS, REPLICAS_LEFT_OUT

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from chassis.tls import ClientTls

log = logging.getLogger(__name__)

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")

# A replica that stops is left out within PROBE_SECONDS + MISSES * PROBE_TIMEOUT_SECONDS = 1.8 s.
PROBE_SECONDS: Final = 0.4
PROBE_TIMEOUT_SECONDS: Final = 0.7  # a probe takes 2 ms; a busy event loop up to 100 ms
MISSES: Final = 2
# A replica that responds to probes and not to calls, as when its database connection hangs.
TIMEOUTS: Final = 2  # calls in a row
FIRST_PAUSE_SECONDS: Final = 2.0
LONGEST_PAUSE_SECONDS: Final = 30.0
_FIRST_PROBE_SECONDS: Final = 2.0

_SERVING: Final = health_pb2.HealthCheckResponse.SERVING


class Replica:
    """One replica: its channel and its state."""

    def __init__(self, target: str, channel: grpc.aio.Channel) -> None:
        """Start as responsive, until the first probe."""
        self.target = target
        self.channel = channel
        self.health = health_pb2_grpc.HealthStub(channel)
        self.cause = ""  # why it is left out; empty while it is not
        self.since = 0.0
        self.trouble = ""  # result of the last probe; set for the last replica too
        self.serves = False  # as its health service reports
        self.takes_writes = True  # as its health service reports
        self.calls: set[grpc.aio.Call] = set()  # in progress
        self.misses = 0
        self.timeouts = 0
        self.pause = FIRST_PAUSE_SECONDS
        self.paused_until = 0.0

    def responded(self) -> None:
        """Reset the count of timeouts after a response."""
        self.timeouts = 0


class Replicas:
    """All replicas of one service. ``start`` starts the probes."""

    def __init__(self, name: str, service: str, targets: Sequence[str], *, tls: ClientTls | None = None) -> None:
        """``name`` is for the log and the metrics, ``service`` the full name in the health service."""
        self.name = name
        self._service = service
        self.all = tuple(Replica(target, open_channel([target], tls=tls)) for target in targets)
        self._turns = itertools.count()
        self._probed = asyncio.Event()
        self._probes: list[asyncio.Task[None]] = []
        self.on_change: Callable[[], None] = lambda: None
        REPLICAS.labels(name).set(len(self.all))
        REPLICAS_LEFT_OUT.labels(name).set(0)

    def start(self) -> None:
        """Probe in the background."""
        self._probes = [
            asyncio.create_task(self._probe(replica), name=f"probe-{replica.target}") for replica in self.all
        ]

    async def close(self) -> None:
        """Stop probing and close the channels."""
        for probe in self._probes:
            probe.cancel()
        await asyncio.gather(*self._probes, return_exceptions=True)
        await asyncio.gather(*(replica.channel.close() for replica in self.all), return_exceptions=True)

    def pick(self, tried: Collection[Replica] = ()) -> Replica:
        """Return the next replica in turn: one that is not left out and was not tried, if there is any."""
        candidates = (
            [replica for replica in self.all if not replica.cause and replica not in tried]
            or [replica for replica in self.all if not replica.cause]
            or self.all
        )
        return candidates[next(self._turns) % len(candidates)]

    def has_other(self, tried: Collection[Replica]) -> bool:
        """Return whether a replica is untried and not left out."""
        return any(not replica.cause and replica not in tried for replica in self.all)

    def timed_out(self, replica: Replica) -> None:
        """Count a timeout; leave the replica out after several in a row."""
        replica.timeouts += 1
        if replica.timeouts >= TIMEOUTS and self._leave_out(replica, "slow"):
            replica.paused_until = time.monotonic() + replica.pause
            replica.pause = min(replica.pause * 2, LONGEST_PAUSE_SECONDS)

    async def check(self) -> None:
        """Return while any replica serves, else raise ``StoreUnavailable``."""
        await self._until_probed()
        if not any(replica.serves for replica in self.all):
            message = "The service does not serve."
            raise StoreUnavailable(message)

    async def check_each(self) -> None:
        """Return while every replica serves, else raise ``StoreUnavailable``."""
        await self._until_probed()
        missing = [replica.target for replica in self.all if replica.cause or not replica.serves]
        if missing:
            message = f"Replicas are left out: {', '.join(missing)}."
            raise StoreUnavailable(message)

    async def check_writes(self) -> None:
        """Return while a replica that serves takes writes, else raise ``StoreUnavailable``."""
        await self._until_probed()
        if not any(replica.serves and replica.takes_writes for replica in self.all):
            message = "The service takes no writes."
            raise StoreUnavailable(message)

    async def _until_probed(self) -> None:
        try:
            async with asyncio.timeout(_FIRST_PROBE_SECONDS):
                await self._probed.wait()
        except TimeoutError:
            return

    async def _probe(self, replica: Replica) -> None:
        while True:
            cause = await self._check(replica)
            self._probed.set()
            if cause == "unresponsive":
                replica.misses += 1
                if replica.misses < MISSES:
                    continue
            else:
                replica.misses = 0
            replica.trouble, replica.serves = cause, not cause
            if cause:
                self._leave_out(replica, cause)
            elif replica.cause and time.monotonic() >= replica.paused_until:
                self._restore(replica)
            await asyncio.sleep(PROBE_SECONDS)

    async def _check(self, replica: Replica) -> str:
        """Return why a replica should be left out; empty when it serves."""
        trouble, writes = await asyncio.gather(
            self._status(replica, self._service), self._status(replica, self._service + WRITES_SUFFIX)
        )
        replica.takes_writes = writes != "not_serving"
        return trouble

    async def _status(self, replica: Replica, service: str) -> str:
        request = health_pb2.HealthCheckRequest(service=service)
        try:
            response = await replica.health.Check(request, timeout=PROBE_TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:  # the previous release has no health status for writes
                return ""
            return "unresponsive" if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED else "unreachable"
        return "" if response.status == _SERVING else "not_serving"

    def _leave_out(self, replica: Replica, cause: str) -> bool:
        """Leave a replica out unless it is the last one; return whether that is new."""
        if replica.cause or not any(not other.cause for other in self.all if other is not replica):
            return False
        replica.cause, replica.since = cause, time.monotonic()
        log.warning("replica left out service=%s target=%s cause=%s", self.name, replica.target, cause)
        self._show()
        for call in list(replica.calls):
            call.cancel()  # the caller retries at another replica
        return True

    def _restore(self, replica: Replica) -> None:
        log.warning(
            "replica taken back service=%s target=%s cause=%s seconds=%.1f",
            self.name,
            replica.target,
            replica.cause,
            time.monotonic() - replica.since,
        )
        replica.cause = ""
        replica.timeouts = 0
        if time.monotonic() - replica.paused_until > LONGEST_PAUSE_SECONDS:
            replica.pause = FIRST_PAUSE_SECONDS
        self._show()

    def _show(self) -> None:
        REPLICAS_LEFT_OUT.labels(self.name).set(sum(bool(replica.cause) for replica in self.all))
        self.on_change()


class ReplicatedMethod(Generic[RequestT, ResponseT]):
    """A unary method of a service, to be called on a replica."""

    def __init__(
        self, replicas: Replicas, calls: dict[Replica, grpc.aio.UnaryUnaryMultiCallable[RequestT, ResponseT]]
    ) -> None:
        """``calls`` has the method on the channel of each replica."""
        self.replicas = replicas
        self._calls = calls

    async def on(
        self, replica: Replica, request: RequestT, *, seconds: float, metadata: Sequence[tuple[str, str]]
    ) -> ResponseT:
        """Call the method; raise ``TimeoutError`` when the replica is left out meanwhile."""
        call = self._calls[replica](request, timeout=seconds, metadata=metadata)
        replica.calls.add(call)
        try:
            response: ResponseT = await call
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if replica.cause and not (task is not None and task.cancelling()):
                raise TimeoutError from None
            raise
        finally:
            replica.calls.discard(call)
        return response


class ReplicatedChannel:
    """The channel of a generated stub; its unary methods are ``ReplicatedMethod``."""

    def __init__(self, replicas: Replicas) -> None:
        """Use all replicas of a service."""
        self._replicas = replicas

    def unary_unary(self, method: str, *arguments: Any, **options: Any) -> ReplicatedMethod[Any, Any]:
        """Return the method on every replica."""
        calls = {replica: replica.channel.unary_unary(method, *arguments, **options) for replica in self._replicas.all}
        return ReplicatedMethod(self._replicas, calls)

    def unary_stream(self, *_arguments: Any, **_options: Any) -> None:
        """Return nothing: streams have channels of their own."""
