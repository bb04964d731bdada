"""The interceptor of a gRPC server: authentication, limits, validation, deadlines, errors as statuses."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import time
import uuid
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc
import protovalidate
from google.protobuf.message import DecodeError
from grpc.aio import ServerInterceptor

from chassis import call_metrics, telemetry
from chassis.call_facts import REQUEST_ID_HEADER, authenticate, is_read, peer_address, safe_request_id
from chassis.call_limits import LIMIT, CallLimits
from chassis.caller import ANONYMOUS, CallContext, current_caller, current_request, set_current_request
from chassis.errors import (
    DeadlinePassed,
    FieldInvalid,
    FieldViolation,
    InternalFault,
    Overloaded,
    PartstreamError,
    TokenExpired,
    Unauthenticated,
    WatcherTooSlow,
)
from chassis.rich_status import to_status
from chassis.store_errors import translated
from chassis.store_state import StoreState
from chassis.text_rules import text_violations

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine

    from google.protobuf.message import Message

    from chassis.revocation.listing import RevocationList
    from chassis.tokens import TokenVerifier

log = logging.getLogger("partstream.calls")

_Parse: TypeAlias = "Callable[[bytes], Message]"
_Context = Any  # grpc.aio.ServicerContext of whatever messages

DEFAULT_DEADLINE_SECONDS = 10.0
SLOW_SECONDS = 1.0  # a call that took longer is logged at INFO
STREAM_WRITE_SECONDS = 30.0  # a watcher that reads nothing for so long is disconnected or stuck
_STATUS_DETAILS = "grpc-status-details-bin"


class CallInterceptor(ServerInterceptor):
    """Wraps every method of the system's services; health and reflection are not wrapped."""

    def __init__(
        self,
        verifier: TokenVerifier,
        pack: Callable[[object], Message | None],
        revocations: RevocationList,
        multi_line: Collection[str] = frozenset(),
        limits: CallLimits | None = None,
        store: StoreState | None = None,
    ) -> None:
        """``pack`` converts the domain object of an error to its protobuf message.

        ``multi_line`` has the full names of the fields whose texts may have line ends; ``store`` receives the database
        errors of calls.
        """
        self._store = store or StoreState("database")
        self._limits = limits or CallLimits()
        self._multi_line = frozenset(multi_line)
        self._verifier = verifier
        self._pack = pack
        self._revocations = revocations
        self._wrapped: dict[str, Any] = {}  # handlers by method; a server's methods never change
        self._abandoned: set[asyncio.Future[Any]] = set()  # cancelled calls that still run

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Return the wrapped handler of the method."""
        method: str = handler_call_details.method
        known = self._wrapped.get(method)
        if known is not None:
            return known
        handler = await continuation(handler_call_details)
        if handler is None or not method.startswith("/partstream."):
            return handler
        wrapped: grpc.RpcMethodHandler[Any, Any]
        if handler.unary_unary is not None:
            wrapped = grpc.unary_unary_rpc_method_handler(
                self._unary(handler.unary_unary, method, handler.request_deserializer),
                None,
                handler.response_serializer,
            )
        else:
            wrapped = grpc.unary_stream_rpc_method_handler(
                self._stream(handler.unary_stream, method, handler.request_deserializer), None, _serialized
            )
        self._wrapped[method] = wrapped
        return wrapped

    def _unary(self, call: Callable[..., Any], method: str, parse: _Parse) -> Callable[..., Any]:
        writes = not is_read(method)

        async def handle(raw: bytes, context: _Context) -> Any:
            began = time.perf_counter()
            try:
                request = self._admit(raw, parse, method, context)
                if writes and not self._revocations.is_known:
                    await self._revocations.require_known()
                if context.time_remaining() is None:
                    response = await self._within_deadline(call(request, context))
                else:
                    response = await call(request, context)
            except BaseException as error:
                await self._abort(context, method, began, error)
                raise
            _log_call(method, "OK", began)
            return response

        return handle

    def _stream(self, call: Callable[..., Any], method: str, parse: _Parse) -> Callable[..., Any]:
        async def handle(raw: bytes, context: _Context) -> None:
            began = time.perf_counter()
            streaming = call_metrics.open_streams(method)
            streaming.inc()
            try:
                request = self._admit(raw, parse, method, context)
                with self._limits.stream(current_caller()):
                    async with self._while_token_is_valid(), contextlib.aclosing(call(request, context)) as messages:
                        async for message in messages:
                            await _write(context, message)
            except asyncio.CancelledError:
                _log_call(method, "CANCELLED", began, level=logging.DEBUG)  # how every watch ends
                raise
            except BaseException as error:
                await self._abort(context, method, began, error)
                raise
            finally:
                streaming.dec()
            _log_call(method, "OK", began, level=logging.DEBUG)

        return handle

    @contextlib.asynccontextmanager
    async def _while_token_is_valid(self) -> AsyncIterator[None]:
        """End the block when the caller's token is revoked or expires, and raise ``TokenRevoked`` or ``TokenExpired``.

        A process is identified by its key, not by its first token: only revoking the key ends its streams.
        """
        caller = current_caller()
        if caller.is_anonymous:
            yield
            return
        left = None if caller.process else caller.expires_at - time.time()
        try:
            async with asyncio.timeout(left) as limit:

                def end_now() -> None:
                    if not limit.expired():
                        limit.reschedule(asyncio.get_running_loop().time())

                with self._revocations.watching(caller, end_now):
                    yield
        except TimeoutError:
            if not limit.expired():
                raise
            self._revocations.check(caller)
            message = "Access token expired. Reconnect from your last cursor with a new one."
            raise TokenExpired(message) from None

    async def _within_deadline(self, call: Coroutine[Any, Any, Any]) -> Any:
        """Return the response within the deadline of callers that set none.

        A late call is cancelled and not awaited: while the database hangs, the driver holds its connection for another
        30 s.
        """
        running = asyncio.ensure_future(call)
        try:
            await asyncio.wait((running,), timeout=DEFAULT_DEADLINE_SECONDS)
        finally:
            if not running.done():
                running.cancel()
                self._abandoned.add(running)
                running.add_done_callback(self._end)
        if running.done():
            return running.result()
        message = "Deadline exceeded. Retry with the same request_id: the request is applied at most once."
        raise DeadlinePassed(message)

    def _end(self, abandoned: asyncio.Future[Any]) -> None:
        self._abandoned.discard(abandoned)
        if not abandoned.cancelled() and abandoned.exception() is not None:
            log.debug("abandoned call failed error=%r", abandoned.exception())

    def _admit(self, raw: bytes, parse: _Parse, method: str, context: _Context) -> Message:
        """Set the request context and return the parsed message; raise for an invalid token or message.

        A call with an invalid token counts for its address. A call beyond a limit is not parsed.

        The message is parsed here and not by gRPC, which would send Python's error text to the caller.
        """
        metadata = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
        request_id = safe_request_id(metadata.get(REQUEST_ID_HEADER, "")) or str(uuid.uuid4())
        set_current_request(CallContext(request_id=request_id))
        try:
            caller = authenticate(metadata, context.peer(), self._verifier, self._revocations)
        except Unauthenticated:
            self._limits.admit(method, dataclasses.replace(ANONYMOUS, client_ip=peer_address(context.peer())))
            raise
        self._limits.admit(method, caller)
        traceparent = telemetry.traceparent_of_call(metadata.get("traceparent", ""))
        set_current_request(CallContext(caller, request_id, traceparent))
        try:
            request = parse(raw)
        except (DecodeError, ValueError):
            text = "The message cannot be parsed. Send the request type of this method."
            raise FieldInvalid(text) from None
        check_rules(request, self._multi_line)
        return request

    async def _abort(self, context: _Context, method: str, began: float, error: BaseException) -> None:
        """End a failed call with a rich status; return when the caller has to raise the error unchanged."""
        match error:
            case PartstreamError():
                failure = error
            case asyncio.CancelledError():
                _log_call(method, "CANCELLED", began)
                return
            case _ if (by_store := translated(error)) is not None:
                self._store.met(error)
                failure = by_store
            case Exception():
                log.error("call failed method=%s", method, exc_info=error)
                request_id = current_request().request_id
                failure = InternalFault(
                    "Internal error. Report it with the request_id.", metadata={"request_id": request_id}
                )
            case _:
                return
        is_limited = (
            isinstance(failure, Overloaded) and LIMIT in failure.metadata
        )  # rejected calls must not flood the log
        _log_call(method, failure.code, began, level=logging.DEBUG if is_limited else None)
        status = to_status(failure, self._pack)
        await context.abort(
            grpc.StatusCode[failure.code], status.message, ((_STATUS_DETAILS, status.SerializeToString()),)
        )


async def _write(context: _Context, message: Any) -> None:
    try:
        async with asyncio.timeout(STREAM_WRITE_SECONDS):
            await context.write(message)
    except TimeoutError:
        text = "You read too slowly. Reconnect from your last cursor."
        raise WatcherTooSlow(text) from None


def _log_call(method: str, code: str, began: float, *, level: int | None = None) -> None:
    """Log a rejected or slow call. Successful writes are in the change log, with their actor."""
    seconds = time.perf_counter() - began
    call_metrics.calls(method, code).inc()
    if level is None:  # set for streams, which have no duration
        call_metrics.seconds(method).observe(seconds)
        level = logging.DEBUG if code == "OK" and seconds < SLOW_SECONDS else logging.INFO
    if log.isEnabledFor(level):
        log.log(level, "%s %s", method, code, extra={"ms": round(seconds * 1000, 1)})


def check_rules(request: Message, multi_line: Collection[str] = frozenset()) -> None:
    """Raise ``FieldInvalid`` naming every field that violates a rule of the contract or has control characters."""
    violations = protovalidate.collect_violations(request)
    fields = text_violations(request, multi_line)
    if not violations and not fields:
        return
    reported = {field.path for field in fields}
    for violation in violations:
        path = ""
        for element in violation.proto.field.elements if violation.proto.field else ():
            path += ("." if path else "") + element.field_name
            subscript = getattr(element, "subscript", None)
            if subscript is not None:
                path += f"[{getattr(subscript, 'value', subscript)}]"
        if path not in reported:  # a pattern fails for the same character, with a worse message
            fields.append(FieldViolation(path, violation.proto.message))
    message = "; ".join(f"{item.path}: {item.message}" for item in fields[:3])
    raise FieldInvalid(message, fields=fields)


def _serialized(message: Any) -> bytes:
    """Serialise a message of a stream; bytes were serialised once for all watchers."""
    return message if isinstance(message, bytes) else message.SerializeToString()
