"""The outermost ASGI layer: request ids, limits, access log and common headers of every request."""

from __future__ import annotations

import ipaddress
import logging
import re
import time
import uuid
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from litestar import Response
from litestar.datastructures import MutableScopeHeaders
from litestar.exceptions import NotFoundException
from litestar.response.base import ASGIResponse

from chassis.call_facts import valid_address
from chassis.caller import ANONYMOUS, CallContext, set_current_request
from chassis.errors import Overloaded
from chassis.telemetry import current_traceparent
from edge.http.connections import ConnectionLimiter
from edge.http.cookies import cleared
from edge.http.errors import BodyTooLarge, EdgeError, MalformedRequest
from edge.http.methods import label
from edge.http.origins import PREFLIGHT, Origins
from edge.http.problems import problem_response
from edge.http.request_body import BodyAborted, BodyReader, discard, has_body
from edge.http.request_context import RequestContext, set_request_context
from edge.http.request_head import check_head
from edge.http.revision import COOKIE as REVISION_COOKIE
from edge.http.revision import OUT, merged
from edge.http.security_headers import security_headers
from edge.http.tracing import describe, is_traced, request_span
from edge.metrics import REQUEST_SECONDS, REQUESTS, REQUESTS_IN_FLIGHT, REQUESTS_SHED

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from litestar.types import ASGIApp, Message, Receive, Send

    from edge.http.limits.limiter import RateLimiter
    from edge.settings import Network

logger = logging.getLogger("edge.access")

_SAFE_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,100}")
_PROBES: Final = ("/health",)
_FORWARDED_SCHEMES: Final = frozenset({"http", "https"})
_SECURE_SCHEMES: Final = frozenset({"https", "wss"})
_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
SLOW_SECONDS: Final = 1.0  # a slower response is logged at INFO
REQUEST_ID: Final = "Partstream-Request-Id"
MOST_LOGGED: Final = 200  # characters of a method or path; a path may have 8,000
BODY_SECONDS: Final = 10.0
CLIENT_CLOSED_REQUEST: Final = 499  # the client closed the connection before the response


class EdgeMiddleware:
    """Wraps the ASGI application."""

    def __init__(  # noqa: PLR0913 - the composition root gives it what it needs
        self,
        app: ASGIApp,
        *,
        position: Callable[[], str],
        max_concurrent: int = 1000,
        trusted_proxies: Sequence[Network] = (),
        origins: Origins | None = None,
        traces_exported: bool = False,
        allowed: Mapping[str, str] = MappingProxyType({}),
        socket_paths: Collection[str] = (),
        limiter: RateLimiter | None = None,
        connections: ConnectionLimiter | None = None,
        body_seconds: float = BODY_SECONDS,
    ) -> None:
        """``position`` returns what this edge has applied of every log; ``allowed`` has the methods by path template.

        ``socket_paths`` are the paths that serve WebSockets. ``max_concurrent`` counts requests whose body has arrived;
        ``connections`` bounds all of them.
        """
        self.app = app
        self._position = position
        self._max_concurrent = max_concurrent
        self._trusted = trusted_proxies
        self._origins = origins or Origins()
        self._traces_exported = traces_exported
        self._allowed = allowed
        self._socket_paths = frozenset(socket_paths)
        self._limiter = limiter
        self._connections = connections or ConnectionLimiter()
        self._bodies = BodyReader(self._connections, body_seconds)
        self.in_flight = 0

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve an HTTP request or a WebSocket, each with a request context of its own."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        method = scope.get("method", "GET")
        if scope["type"] == "http" and is_traced(method, headers, exported=self._traces_exported):
            with request_span(method, headers) as span:
                context = self._create_context(scope, headers)
                status = await self._serve(scope, receive, send, context, headers)
                describe(span, _route(scope), method, status)
            return
        context = self._create_context(scope, headers)
        if scope["type"] == "http":
            await self._serve(scope, receive, send, context, headers)
        elif (rejection := self._handshake_error(scope, headers, context)) is not None:
            await self._reject_handshake(scope, receive, send, context, rejection)
        else:
            with self._connections.occupied(scope.get("client")):
                await self.app(scope, receive, send)

    def _create_context(self, scope: Any, headers: Mapping[bytes, bytes]) -> RequestContext:
        scope["scheme"] = self._scheme(scope, headers)
        context = RequestContext(
            request_id=self._request_id(scope, headers),
            client_ip=self._client_ip(scope, headers.get(b"x-forwarded-for", b"").decode("latin-1")),
            traceparent=current_traceparent(),
            secure=scope["scheme"] in _SECURE_SCHEMES,
            with_credentials=b"authorization" in headers,
            origin=headers.get(b"origin", b"").decode("latin-1"),
        )
        context.record_revision(self._position())
        set_request_context(context)
        if self._limiter is not None:
            context.rejection = self._limiter.admit(scope.get("method", "GET"), scope["path"], headers, context)
        set_current_request(CallContext(ANONYMOUS, context.request_id, context.traceparent))
        return context

    def _request_id(self, scope: Any, headers: Mapping[bytes, bytes]) -> str:
        """Return the id that a trusted proxy or the caller sent, else a new one.

        A proxy's id takes precedence, because its log has it. Its header is ignored from any other peer.
        """
        given = [headers.get(b"partstream-request-id", b"")]
        if (by_proxy := headers.get(b"x-request-id")) is not None and self.is_trusted(_peer(scope)):
            given.insert(0, by_proxy)
        texts = (raw.decode("latin-1") for raw in given)
        return next((text for text in texts if _SAFE_ID.fullmatch(text)), None) or str(uuid.uuid4())

    def _client_ip(self, scope: Any, forwarded: str) -> str:
        """Return the rightmost address that is no trusted proxy: a client can forge those to the left of it."""
        address = _peer(scope)
        for hop in (valid_address(item.strip()) for item in reversed(forwarded.split(","))):
            if not hop or not self.is_trusted(address):
                break
            address = hop
        return valid_address(address)

    def _scheme(self, scope: Any, headers: Mapping[bytes, bytes]) -> str:
        """Return the scheme of the client's connection, as the first trusted proxy reports it."""
        given = headers.get(b"x-forwarded-proto", b"").decode("latin-1").partition(",")[0].strip().lower()
        if given in _FORWARDED_SCHEMES and self.is_trusted(_peer(scope)):
            return given
        return str(scope.get("scheme", "http"))

    def is_trusted(self, address: str) -> bool:
        """Return whether an address is that of a trusted proxy."""
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._trusted)

    async def _serve(
        self, scope: Any, receive: Receive, send: Send, context: RequestContext, headers: Mapping[bytes, bytes]
    ) -> int:
        status = 500
        began = False
        head = scope["method"] == "HEAD"
        if head:
            scope["method"] = "GET"  # a HEAD is a GET without its body (RFC 9110, 9.3.2)

        async def send_labelled(message: Message) -> None:
            nonlocal status, began
            if message["type"] == "http.response.start":
                began = True
                status = message["status"]
                self._label(message, scope, context)
                if scope["method"] == "OPTIONS" and _route(scope) in self._allowed:
                    MutableScopeHeaders.from_message(message)["Allow"] = self._allowed[_route(scope)]
            elif head and message["type"] == "http.response.body":
                message = {"type": "http.response.body", "body": b"", "more_body": message.get("more_body", False)}
            await send(message)

        try:
            await self._admit(scope, receive, send_labelled, context, headers)
        except BodyAborted as error:
            await _close(error, scope, receive, send_labelled)  # a half-closed client reads it
            status = CLIENT_CLOSED_REQUEST
        except (EdgeError, Overloaded) as error:
            await _close(error, scope, receive, send_labelled)
        except Exception as error:
            # Litestar responds to every error of a route: this is a fault of the layers around them.
            logger.exception("error outside the routes", extra={"request_id": context.request_id})
            if not began:
                await _send(problem_response(error), scope, receive, send_labelled)
        finally:
            _record(scope, context, "HEAD" if head else scope["method"], status)
        return status

    async def _admit(
        self, scope: Any, receive: Receive, send: Send, context: RequestContext, headers: Mapping[bytes, bytes]
    ) -> None:
        """Check head and rate limit and receive the body first, so that slow clients do not occupy the application."""
        check_head(scope, headers)
        if str(scope["path"]).startswith(_PROBES):
            await self.app(scope, receive, send)
            return
        if context.rejection is not None:
            if has_body(scope["method"], headers):
                raise context.rejection
            await _send(problem_response(context.rejection), scope, receive, send)
            return
        with self._connections.admit(context.client_ip, scope.get("client")) as connection:
            receive = await self._bodies.read(scope["method"], headers, receive, connection)
            self.in_flight += 1
            REQUESTS_IN_FLIGHT.inc()
            try:
                if self.in_flight > self._max_concurrent:
                    await self._shed(scope, receive, send)
                elif self._origins.is_preflight(scope, context.origin):
                    await ASGIResponse(headers=PREFLIGHT, status_code=HTTPStatus.NO_CONTENT)(scope, receive, send)
                else:
                    await self.app(scope, receive, send)
            finally:
                self.in_flight -= 1
                REQUESTS_IN_FLIGHT.dec()

    def _handshake_error(self, scope: Any, headers: Mapping[bytes, bytes], context: RequestContext) -> Exception | None:
        try:
            check_head(scope, headers)
        except EdgeError as error:
            return error
        if context.rejection is not None:
            return context.rejection
        if scope["path"].rstrip("/") not in self._socket_paths:
            return NotFoundException()
        if scope["query_string"]:
            return MalformedRequest("A WebSocket has no query parameters.")
        return None

    async def _reject_handshake(
        self, scope: Any, receive: Receive, send: Send, context: RequestContext, error: Exception
    ) -> None:
        """Respond to a rejected WebSocket handshake with a problem document.

        Litestar would close the connection before it is open, which Granian turns into a 403 without a body.
        """

        async def send_rejection(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._label(message, scope, context)
            await send({**message, "type": f"websocket.{message['type']}"})  # type: ignore[arg-type]

        response = problem_response(error)
        await _send(response, scope, receive, send_rejection)
        _record(scope, context, "GET", response.status_code or 404)

    def _label(self, message: Any, scope: Any, context: RequestContext) -> None:
        headers = MutableScopeHeaders.from_message(message)
        headers.headers.extend(security_headers(scope["path"], secure=context.secure))
        self._origins.label(headers, context.origin)
        _describe_request(headers, context)

    async def _shed(self, scope: Any, receive: Receive, send: Send) -> None:
        REQUESTS_SHED.inc()
        response = problem_response(
            Overloaded("Too many requests are in progress. Retry after the time in Retry-After.", retry_after_seconds=1)
        )
        await _send(response, scope, receive, send)


def _peer(scope: Any) -> str:
    """Return the address at the other end of the connection; empty when there is none."""
    client = scope.get("client")
    return client[0] if client else ""


async def _send(response: Response[bytes], scope: Any, receive: Receive, send: Send) -> None:
    await ASGIResponse(
        body=response.content,
        headers=dict(response.headers),
        media_type=response.media_type,
        status_code=response.status_code or 500,
    )(scope, receive, send)


async def _close(error: Exception, scope: Any, receive: Receive, send: Send) -> None:
    """Respond to a request whose body was not read and close its connection, on which the body would follow."""
    response = problem_response(error)
    response.headers["Connection"] = "close"
    await _send(response, scope, receive, send)
    if isinstance(error, BodyTooLarge | Overloaded):
        await discard(receive)


def _describe_request(headers: MutableScopeHeaders, context: RequestContext) -> None:
    headers[REQUEST_ID] = context.request_id
    headers.headers.extend(context.limit_headers)
    # Granian adds `Server: granian` unless the application sets the field, and has no option against it.
    headers["Server"] = ""
    if context.stale_cookie:
        headers.add("Set-Cookie", cleared(secure=context.secure).to_header(header=""))
    revision = merged(*context.revisions)
    if revision:
        headers[OUT] = revision
        if context.by_cookie:
            secure = "; Secure" if context.secure else ""
            cookie = f"{REVISION_COOKIE}={revision}; Path=/api/v1; Max-Age=600; HttpOnly; SameSite=Lax{secure}"
            headers.add("Set-Cookie", cookie)
    if context.replayed:
        headers["Idempotent-Replayed"] = "true"


def _route(scope: Any) -> str:
    return scope.get("path_template") or "unmatched"


def _record(scope: Any, context: RequestContext, method: str, status: int) -> None:
    route = _route(scope)
    seconds = time.perf_counter() - context.started
    counted = label(method)
    REQUESTS.labels(counted, route, str(status)).inc()
    REQUEST_SECONDS.labels(counted, route).observe(seconds)
    level = _level(route, method, status, seconds)
    if logger.isEnabledFor(level):
        logger.log(
            level,
            "%s %s %d",
            method[:MOST_LOGGED],
            scope["path"][:MOST_LOGGED],
            status,
            extra={
                "ms": round(seconds * 1000, 1),
                "client_ip": context.client_ip,
                "user": context.caller.username,
                "request_id": context.request_id,
            },
        )


def _level(route: str, method: str, status: int, seconds: float) -> int:
    """Return the level: writes, errors and slow requests are logged at INFO or above, successful reads at DEBUG.

    There are thousands of reads a second, and a line for each costs as much as its response. Metrics count them.
    """
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return logging.DEBUG  # the limiter logs the first rejected request
    is_fast_success = status < HTTPStatus.BAD_REQUEST and seconds < SLOW_SECONDS
    if route.startswith(_PROBES) or (method in _READS and is_fast_success) or status == CLIENT_CLOSED_REQUEST:
        return logging.DEBUG
    return logging.WARNING if status >= HTTPStatus.INTERNAL_SERVER_ERROR else logging.INFO
