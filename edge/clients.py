"""The two services as the edge calls them: the caller's token forwarded, errors as ours, safe retries.

Unary calls have a channel of their own, so that a page never waits behind a watch's flow control.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Final, TypeVar

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from chassis.call_facts import CLIENT_IP_HEADER, PROCESS_HEADER, REQUEST_ID_HEADER
from chassis.changes import cursor as cursors
from chassis.errors import PartstreamError, StoreUnavailable
from chassis.rich_status import from_rpc_error
from edge.exchange import Exchange, current_exchange
from edge.metrics import UPSTREAM_CALLS, UPSTREAM_RETRIES, UPSTREAM_SECONDS
from partstream.changes.v1.change_log_service_pb2_grpc import ChangeLogServiceStub
from partstream.content.v1.part_service_pb2_grpc import ContentServiceStub
from partstream.inventory.v1.stock_service_pb2_grpc import InventoryServiceStub

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from partstream.changes.v1.change_log_service_pb2_grpc import ChangeLogServiceAsyncStub
    from partstream.content.v1.part_service_pb2_grpc import ContentServiceAsyncStub
    from partstream.inventory.v1.stock_service_pb2_grpc import InventoryServiceAsyncStub

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")

INVENTORY: Final = "partstream.inventory.v1.InventoryService"
CONTENT: Final = "partstream.content.v1.ContentService"

READ_SECONDS: Final = 3.0
WRITE_SECONDS: Final = 5.0
ATTEMPTS: Final = 3
_BACKOFF_SECONDS: Final = 0.05
# Reasons after which another replica, or the same one a moment later, may answer.
_WORTH_A_RETRY: Final = frozenset({"STORE_UNAVAILABLE", "DRAINING"})


class RetryBudget:
    """At most one retry per ten calls on average, so that retries cannot multiply an overload."""

    PER_CALL = 0.1
    MOST = 20.0

    def __init__(self) -> None:
        """Begin with a full budget."""
        self._left = self.MOST

    def deposit(self) -> None:
        """A call was made."""
        self._left = min(self.MOST, self._left + self.PER_CALL)

    def withdraw(self) -> bool:
        """Whether a retry is allowed; it is then counted."""
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Upstream:
    """Unary calls to one service. Every call is safe to send again: reads are, and writes carry a ``request_id``."""

    def __init__(self, name: str, own_token: Callable[[], str]) -> None:
        """Name the service, for metrics; ``own_token`` proves that the edge is calling."""
        self.name = name
        self._own_token = own_token
        self.newest: cursors.Position | None = None  # of its log, among all responses to any caller
        self._budget = RetryBudget()

    async def call(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[RequestT, ResponseT],
        request: RequestT,
        *,
        seconds: float = READ_SECONDS,
        anonymous: bool = False,
        own: bool = False,
    ) -> ResponseT:
        """The answer; a ``PartstreamError`` otherwise. ``anonymous`` reads as the public does, whoever asks.

        ``own`` reads as this process: show callers only what their groups allow.
        """
        exchange = current_exchange()
        bearer = self._own_token() if own else "" if anonymous else exchange.bearer
        metadata = [(PROCESS_HEADER, self._own_token()), *_metadata(exchange, bearer)]
        label = type(request).__name__.removesuffix("Request")
        started = time.perf_counter()
        outcome = "CANCELLED"
        try:
            response = await self._attempts(method, request, metadata, seconds)
            outcome = "OK"
        except PartstreamError as error:
            outcome = error.reason
            raise
        finally:
            UPSTREAM_CALLS.labels(self.name, label, outcome).inc()
            UPSTREAM_SECONDS.labels(self.name, label).observe(time.perf_counter() - started)
        token = getattr(response, "revision_token", "")
        exchange.saw(token)
        self._note(token)
        exchange.replayed = exchange.replayed or getattr(response, "replayed", False)
        return response

    def _note(self, revision_token: str) -> None:
        seen = cursors.position_in(revision_token, self.name)
        known = self.newest
        if seen is not None and (known is None or known.epoch != seen.epoch or known.revision < seen.revision):
            self.newest = seen

    async def _attempts(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[RequestT, ResponseT],
        request: RequestT,
        metadata: Sequence[tuple[str, str]],
        seconds: float,
    ) -> ResponseT:
        deadline = time.monotonic() + seconds
        self._budget.deposit()
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await method(request, timeout=max(0.001, deadline - time.monotonic()), metadata=metadata)
            except grpc.aio.AioRpcError as caught:
                error = from_rpc_error(caught)
                pause = _BACKOFF_SECONDS * 2 ** (attempt - 1) * (0.5 + random.random())  # noqa: S311 - jitter
                late = time.monotonic() + pause >= deadline
                if error.reason not in _WORTH_A_RETRY or attempt == ATTEMPTS or late or not self._budget.withdraw():
                    raise error from caught
                UPSTREAM_RETRIES.labels(self.name).inc()
                await asyncio.sleep(pause)
        raise AssertionError("unreachable: the last attempt returns or raises")


def _metadata(exchange: Exchange, bearer: str) -> list[tuple[str, str]]:
    metadata = [(REQUEST_ID_HEADER, exchange.request_id)] if exchange.request_id else []
    if exchange.client_ip:
        metadata.append((CLIENT_IP_HEADER, exchange.client_ip))
    if bearer:
        metadata.append(("authorization", f"Bearer {bearer}"))
    return metadata


class Services:
    """Both services: their stubs over the unary channels, and the way to call them."""

    def __init__(self, inventory: grpc.aio.Channel, content: grpc.aio.Channel, own_token: Callable[[], str]) -> None:
        """Take one channel for unary calls to each service, closed by their owner, and the token of this process."""
        self.inventory: InventoryServiceAsyncStub = InventoryServiceStub(inventory)
        self.content: ContentServiceAsyncStub = ContentServiceStub(content)
        self.inventory_log: ChangeLogServiceAsyncStub = ChangeLogServiceStub(inventory)
        self.content_log: ChangeLogServiceAsyncStub = ChangeLogServiceStub(content)
        self._inventory = Upstream("inventory", own_token)
        self._content = Upstream("content", own_token)

    @property
    def newest(self) -> str:
        """The newest revision of each log that a response to any caller has shown or written."""
        known = [service.newest for service in (self._inventory, self._content) if service.newest is not None]
        return cursors.encode(*known) if known else ""

    async def ask_inventory(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[RequestT, ResponseT],
        request: RequestT,
        *,
        seconds: float = READ_SECONDS,
        own: bool = False,
    ) -> ResponseT:
        """Call the inventory; ``own`` as this process, which sees more than most callers."""
        return await self._inventory.call(method, request, seconds=seconds, own=own)

    async def ask_content(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[RequestT, ResponseT],
        request: RequestT,
        *,
        seconds: float = READ_SECONDS,
        anonymous: bool = False,
        own: bool = False,
    ) -> ResponseT:
        """Call the content service; ``own`` as this process."""
        return await self._content.call(method, request, seconds=seconds, anonymous=anonymous, own=own)


class ServicePing:
    """Whether a service says of itself that it serves."""

    def __init__(self, channel: grpc.aio.Channel, service: str) -> None:
        """Ask over the channel that calls use."""
        self._check = health_pb2_grpc.HealthStub(channel).Check
        self._request = health_pb2.HealthCheckRequest(service=service)

    async def __call__(self) -> None:
        """Return when it serves; ``StoreUnavailable`` otherwise."""
        try:
            answer = await self._check(self._request, timeout=1.0)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
        if answer.status != health_pb2.HealthCheckResponse.SERVING:
            message = "The service does not serve."
            raise StoreUnavailable(message)
