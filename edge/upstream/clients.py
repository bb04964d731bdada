"""Calls of the edge to the services: forwards the caller's token, converts errors, retries safely.

Unary calls have channels of their own, so that a page never waits for the flow control of a watch.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import grpc

from changelog import cursor as cursors
from chassis.call_facts import CLIENT_IP_HEADER, PROCESS_HEADER, REQUEST_ID_HEADER
from chassis.errors import PartstreamError, StoreUnavailable
from chassis.rich_status import from_rpc_error, is_foreign
from edge.http.request_context import RequestContext, current_request_context
from edge.metrics import UPSTREAM_CALLS, UPSTREAM_FAILOVERS, UPSTREAM_RETRIES, UPSTREAM_SECONDS
from edge.upstream.replicas import ReplicatedChannel, ReplicatedMethod
from partstream.changes.v1.change_log_service_pb2_grpc import ChangeLogServiceStub
from partstream.content.v1.part_service_pb2_grpc import ContentServiceStub
from partstream.inventory.v1.stock_service_pb2_grpc import InventoryServiceStub

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge.upstream.replicas import Replica, Replicas
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
LOCKED_SECONDS: Final = 0.5  # between two attempts at rows that a transaction outside the services has locked
ATTEMPT_SHARE: Final = 0.35  # of the deadline of a call, while another replica remains to be tried
# Reasons after which another replica, or a later retry, may succeed.
_WORTH_A_RETRY: Final = frozenset({"STORE_UNAVAILABLE", "DRAINING"})


class RetryBudget:
    """At most one retry per ten calls on average, so that retries cannot multiply an overload."""

    PER_CALL = 0.1
    MOST = 20.0

    def __init__(self) -> None:
        """Start with a full budget."""
        self._left = self.MOST

    def deposit(self) -> None:
        """Add the share of one call."""
        self._left = min(self.MOST, self._left + self.PER_CALL)

    def withdraw(self) -> bool:
        """Return whether a retry is allowed, and count it."""
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Upstream:
    """Unary calls to one service. Every call can be retried: writes have a ``request_id``."""

    def __init__(self, replicas: Replicas, own_token: Callable[[], str]) -> None:
        """``own_token`` returns the token that authenticates this process."""
        self.name = replicas.name
        self._replicas = replicas
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
        """Return the response; raise a ``PartstreamError``. ``anonymous`` calls without the caller's token.

        ``own`` calls with the token of this process: return to callers only what their roles allow.
        """
        context = current_request_context()
        bearer = self._own_token() if own else "" if anonymous else context.bearer
        metadata = [(PROCESS_HEADER, self._own_token()), *_metadata(context, bearer)]
        label = type(request).__name__.removesuffix("Request")
        # The stubs use a `ReplicatedChannel`.
        replicated = cast("ReplicatedMethod[RequestT, ResponseT]", method)
        started = time.perf_counter()
        outcome = "CANCELLED"
        try:
            response = await self._attempts(replicated, request, metadata, seconds)
            outcome = "OK"
        except PartstreamError as error:
            outcome = error.reason
            raise
        finally:
            UPSTREAM_CALLS.labels(self.name, label, outcome).inc()
            UPSTREAM_SECONDS.labels(self.name, label).observe(time.perf_counter() - started)
        token = getattr(response, "revision_token", "")
        context.record_revision(token)
        self._note(token)
        context.replayed = context.replayed or getattr(response, "replayed", False)
        return response

    def _note(self, revision_token: str) -> None:
        seen = cursors.position_in(revision_token, self.name)
        known = self.newest
        if seen is not None and (known is None or known.epoch != seen.epoch or known.revision < seen.revision):
            self.newest = seen

    async def _attempts(
        self,
        method: ReplicatedMethod[RequestT, ResponseT],
        request: RequestT,
        metadata: Sequence[tuple[str, str]],
        seconds: float,
    ) -> ResponseT:
        """Return the first response. Each replica is tried once without a pause; more attempts use the budget."""
        deadline = time.monotonic() + seconds
        tried: list[Replica] = []
        self._budget.deposit()
        for attempt in itertools.count(1):
            replica = self._replicas.pick(tried)
            tried.append(replica)
            left = max(0.001, deadline - time.monotonic())
            limit = min(left, seconds * ATTEMPT_SHARE) if self._replicas.has_other(tried) else left
            try:
                return await self._attempt(replica, method, request, metadata, limit)
            except _NoResponseError as failed:
                error = failed.error
                if self._replicas.has_other(tried) and time.monotonic() < deadline:
                    UPSTREAM_FAILOVERS.labels(self.name).inc()
                    continue
            except PartstreamError as rejection:
                error = rejection
                if _is_locked(error) and time.monotonic() + LOCKED_SECONDS < deadline:
                    tried.clear()
                    UPSTREAM_RETRIES.labels(self.name).inc()
                    await asyncio.sleep(LOCKED_SECONDS * (0.5 + 0.5 * random.random()))  # noqa: S311 - jitter
                    continue
            pause = _BACKOFF_SECONDS * 2 ** (attempt - 1) * (0.5 + random.random())  # noqa: S311 - jitter
            late = time.monotonic() + pause >= deadline
            if not _is_temporary(error) or attempt >= ATTEMPTS or late or not self._budget.withdraw():
                raise error
            UPSTREAM_RETRIES.labels(self.name).inc()
            await asyncio.sleep(pause)
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _attempt(
        self,
        replica: Replica,
        method: ReplicatedMethod[RequestT, ResponseT],
        request: RequestT,
        metadata: Sequence[tuple[str, str]],
        limit: float,
    ) -> ResponseT:
        """Call one replica; raise ``_NoResponseError`` without a response, a ``PartstreamError`` for an error."""
        began = time.monotonic()
        try:
            response = await method.on(replica, request, seconds=limit, metadata=metadata)
        except TimeoutError:
            raise _NoResponseError(StoreUnavailable("The replica does not respond.")) from None
        except grpc.aio.AioRpcError as caught:
            error = from_rpc_error(caught)
            if caught.code() is grpc.StatusCode.DEADLINE_EXCEEDED and time.monotonic() - began >= limit * 0.9:
                self._replicas.timed_out(replica)
                raise _NoResponseError(error) from caught
            if is_foreign(caught) and caught.code() is grpc.StatusCode.UNAVAILABLE:
                raise _NoResponseError(error) from caught
            replica.responded()
            raise error from caught
        replica.responded()
        return response


class _NoResponseError(Exception):
    """A replica did not respond; another one may."""

    def __init__(self, error: PartstreamError) -> None:
        super().__init__(error.message)
        self.error = error


def _is_temporary(error: PartstreamError) -> bool:
    """Return whether another replica or a later retry may succeed.

    A read-only or full database is the same for all replicas.
    """
    return error.reason in _WORTH_A_RETRY and error.metadata.get("cause", "unavailable") == "unavailable"


def _is_locked(error: PartstreamError) -> bool:
    """Return whether rows are locked by a transaction outside the services, such as a large change by SQL.

    The service rejects such a call at once, so that other rows do not wait; the edge retries until the deadline.
    """
    return error.reason == "OVERLOADED" and error.metadata.get("cause") == "locked"


def _metadata(context: RequestContext, bearer: str) -> list[tuple[str, str]]:
    metadata = [(REQUEST_ID_HEADER, context.request_id)] if context.request_id else []
    if context.client_ip:
        metadata.append((CLIENT_IP_HEADER, context.client_ip))
    if bearer:
        metadata.append(("authorization", f"Bearer {bearer}"))
    return metadata


class Services:
    """The stubs of both services, and the calls of their methods."""

    def __init__(self, inventory: Replicas, content: Replicas, own_token: Callable[[], str]) -> None:
        """The caller closes the replicas; ``own_token`` returns the token of this process."""
        stock: Any = ReplicatedChannel(inventory)
        parts: Any = ReplicatedChannel(content)
        self.inventory: InventoryServiceAsyncStub = InventoryServiceStub(stock)
        self.content: ContentServiceAsyncStub = ContentServiceStub(parts)
        self.inventory_log: ChangeLogServiceAsyncStub = ChangeLogServiceStub(stock)
        self.content_log: ChangeLogServiceAsyncStub = ChangeLogServiceStub(parts)
        # A method has its replicas, so that a call uses the retry budget and the failover of its service.
        self._upstreams = {replicas: Upstream(replicas, own_token) for replicas in (inventory, content)}

    @property
    def newest(self) -> str:
        """Return the newest revision of each log that any response has shown or written."""
        known = [service.newest for service in self._upstreams.values() if service.newest is not None]
        return cursors.encode(*known) if known else ""

    async def call_upstream(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[RequestT, ResponseT],
        request: RequestT,
        *,
        seconds: float = READ_SECONDS,
        anonymous: bool = False,
        own: bool = False,
    ) -> ResponseT:
        """Call a method of one of the stubs.

        ``anonymous`` calls without the caller's token. ``own`` calls with the token of this process, which has more
        permissions than most callers: return only what the caller may see.
        """
        upstream = self._upstreams[replicas_of(method)]
        return await upstream.call(method, request, seconds=seconds, anonymous=anonymous, own=own)


def replicas_of(method: object) -> Replicas:
    """Return the replicas that a stub's method calls; raise ``TypeError`` for a stub over another channel."""
    if not isinstance(method, ReplicatedMethod):
        message = f"{method!r} is not a method of a stub over a ReplicatedChannel"
        raise TypeError(message)
    return method.replicas
