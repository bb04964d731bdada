"""The border of a gRPC server: who calls, for how long, whether the message keeps its rules, and how errors leave."""

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
SLOW_SECONDS = 1.0  # an answer that took longer is worth a line at INFO
STREAM_WRITE_SECONDS = 30.0  # a watcher that reads nothing for so long is gone or stuck
_STATUS_DETAILS = "grpc-status-details-bin"


class CallInterceptor(ServerInterceptor):
    """Wraps every method of our own services; health and reflection pass untouched."""

    def __init__(
        self,
        verifier: TokenVerifier,
        pack: Callable[[object], Message | None],
        revocations: RevocationList,
        multi_line: Collection[str] = frozenset(),
        limits: CallLimits | None = None,
        store: StoreState | None = None,
    ) -> None:
        """``pack`` turns the domain object in an error into its protobuf message.

        ``multi_line`` names the fields, in full, whose texts may have line ends; ``store`` notes what calls meet.
        """
        self._store = store or StoreState("database")
        self._limits = limits or CallLimits()
        self._multi_line = frozenset(multi_line)
        self._verifier = verifier
        self._pack = pack
        self._revocations = revocations
        self._wrapped: dict[str, Any] = {}  # handlers by method; a server's methods never change
        self._given_up: set[asyncio.Future[Any]] = set()  # calls that are not over yet

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Wrap the handler of the method called."""
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
                    answer = await self._in_time(call(request, context))
                else:
                    answer = await call(request, context)
            except BaseException as error:
                await self._refuse(context, method, began, error)
                raise
            _log_call(method, "OK", began)
            return answer

        return handle

    def _stream(self, call: Callable[..., Any], method: str, parse: _Parse) -> Callable[..., Any]:
        async def handle(raw: bytes, context: _Context) -> None:
            began = time.perf_counter()
            streaming = call_metrics.open_streams(method)
            streaming.inc()
            try:
                request = self._admit(raw, parse, method, context)
                with self._limits.stream(current_caller()):
                    async with self._while_token_counts(), contextlib.aclosing(call(request, context)) as messages:
                        async for message in messages:
                            await _write(context, message)
            except asyncio.CancelledError:
                _log_call(method, "CANCELLED", began, level=logging.DEBUG)  # how every watch ends
                raise
            except BaseException as error:
                await self._refuse(context, method, began, error)
                raise
            finally:
                streaming.dec()
            _log_call(method, "OK", began, level=logging.DEBUG)

        return handle

    @contextlib.asynccontextmanager
    async def _while_token_counts(self) -> AsyncIterator[None]:
        """End the block when the caller's token is revoked or expires, and raise ``TokenRevoked`` or ``TokenExpired``.

        A process is known by its key and not by the token that it happened to begin with: revoking the key ends it.
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
            message = "The token has expired: watch again from your last cursor with a new one."
            raise TokenExpired(message) from None

    async def _in_time(self, call: Coroutine[Any, Any, Any]) -> Any:
        """The answer within the time that a caller without a deadline gets.

        What goes on after that is cancelled and not waited for: while the database hangs it takes another 30 s until
        the driver gives its connection up.
        """
        answering = asyncio.ensure_future(call)
        try:
            await asyncio.wait((answering,), timeout=DEFAULT_DEADLINE_SECONDS)
        finally:
            if not answering.done():
                answering.cancel()
                self._given_up.add(answering)
                answering.add_done_callback(self._end)
        if answering.done():
            return answering.result()
        message = "Time ran out. Ask again with the same request_id to learn whether it was applied."
        raise DeadlinePassed(message)

    def _end(self, given_up: asyncio.Future[Any]) -> None:
        self._given_up.discard(given_up)
        if not given_up.cancelled() and given_up.exception() is not None:
            log.debug("a call that was given up ended with %r", given_up.exception())

    def _admit(self, raw: bytes, parse: _Parse, method: str, context: _Context) -> Message:
        """Say who calls, for everything below; raise when the token or the message is not as it must be.

        A token that proves nothing counts as a call of its address. What is beyond a limit is not even parsed.

        The message is read here and not by gRPC, which would tell the caller what Python says of a broken one.
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
            text = "The message cannot be read: it is not of the type that this method takes."
            raise FieldInvalid(text) from None
        check_rules(request, self._multi_line)
        return request

    async def _refuse(self, context: _Context, method: str, began: float, error: BaseException) -> None:
        """End a call that failed with a status that says why; returns when the error has to go on as it is."""
        match error:
            case PartstreamError():
                told = error
            case asyncio.CancelledError():
                _log_call(method, "CANCELLED", began)
                return
            case _ if (by_store := translated(error)) is not None:
                self._store.met(error)
                told = by_store
            case Exception():
                log.error("%s failed", method, exc_info=error)
                request_id = current_request().request_id
                told = InternalFault("The service failed in an unexpected way.", metadata={"request_id": request_id})
            case _:
                return
        is_limited = isinstance(told, Overloaded) and LIMIT in told.metadata  # a flood must not fill the log
        _log_call(method, told.code, began, level=logging.DEBUG if is_limited else None)
        status = to_status(told, self._pack)
        await context.abort(
            grpc.StatusCode[told.code], status.message, ((_STATUS_DETAILS, status.SerializeToString()),)
        )


async def _write(context: _Context, message: Any) -> None:
    try:
        async with asyncio.timeout(STREAM_WRITE_SECONDS):
            await context.write(message)
    except TimeoutError:
        text = "You read nothing for too long: connect again from your last cursor."
        raise WatcherTooSlow(text) from None


def _log_call(method: str, code: str, began: float, *, level: int | None = None) -> None:
    """A line for what was refused or slow. What was done is in the change log, with who did it."""
    seconds = time.perf_counter() - began
    call_metrics.calls(method, code).inc()
    if level is None:  # a stream that goes on has none
        call_metrics.seconds(method).observe(seconds)
        level = logging.DEBUG if code == "OK" and seconds < SLOW_SECONDS else logging.INFO
    if log.isEnabledFor(level):
        log.log(level, "%s %s", method, code, extra={"ms": round(seconds * 1000, 1)})


def check_rules(request: Message, multi_line: Collection[str] = frozenset()) -> None:
    """Raise ``FieldInvalid`` naming every field that breaks a rule of the contract, or whose text nobody can show."""
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
        if path not in reported:  # a pattern fails for the same character, and does not say why
            fields.append(FieldViolation(path, violation.proto.message))
    message = "; ".join(f"{item.path}: {item.message}" for item in fields[:3])
    raise FieldInvalid(message, fields=fields)


def _serialized(message: Any) -> bytes:
    """A stream may hand over bytes that were serialised once for all watchers."""
    return message if isinstance(message, bytes) else message.SerializeToString()
