"""``/api/v1/live``: the WebSocket endpoint, and one connection with its token and its timeouts."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol

import jwt
from litestar import WebSocket, websocket
from litestar.exceptions import WebSocketDisconnect

from chassis.caller import ANONYMOUS, Caller
from chassis.errors import PartstreamError, Unauthenticated
from edge import metrics
from edge.http.origins import Origins
from edge.http.request_context import current_request_context
from edge.live.catch_up import STATES_AT_ONCE, Preparation
from edge.live.client_state import ClientState
from edge.live.closing import close
from edge.live.errors import BadMessage, CloseSocket, LimitReached, NotAllowed, Rejected, TokenEnded, TooSlow
from edge.live.events import StockEvent
from edge.live.fair_scheduling import FairScheduler
from edge.live.limits import LiveConnectionLimiter, LiveLimits, TokenBucket
from edge.live.outbox import Item, Slot
from edge.live.protocol import (
    Authenticate,
    AuthenticatedFrame,
    BookmarkFrame,
    ErrorFrame,
    Message,
    Ping,
    PongFrame,
    Subscribe,
    Unsubscribe,
    UnsubscribedFrame,
    decode,
    encode,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from litestar.connection import ASGIConnection
    from litestar.handlers import WebsocketRouteHandler
    from litestar.types import Receive, Send

    from chassis.revocation.listing import RevocationList
    from edge.cache.follow import CategoryTree
    from edge.live.publisher import EventPublisher

log = logging.getLogger(__name__)

RECHECK_SECONDS: Final = 5.0  # how often the expiry of a token is checked; a revocation takes effect at once
RETRY_SECONDS: Final = 0.5
FRAMES_IN_A_ROW: Final = 64
CHARACTERS_A_UNIT: Final = 64  # of work; see ``LiveLimits.work_per_second``
CHANGES_A_UNIT: Final = 20


class Identity(Protocol):
    """Identifies callers."""

    async def identify(self, connection: ASGIConnection[Any, Any, Any, Any]) -> Caller:
        """Return the caller of a connection and set its token in the request context."""

    async def verify(self, token: str) -> Caller:
        """Return the caller of a token whose session is valid."""


class OpenSocket(WebSocket[Any, Any, Any]):
    """Passes messages on as they are.

    The framework's own wrappers hold a state that is not read here, and refer to the socket they belong to: a closed
    connection would be a reference cycle that holds the listener's buffers until the garbage collector runs.
    """

    def receive_wrapper(self, receive: Receive) -> Receive:
        """Return the listener's own function."""
        return receive

    def send_wrapper(self, send: Send) -> Send:
        """Return the listener's own function."""
        return send


class LiveEndpoint:
    """Serves live connections."""

    def __init__(
        self,
        publisher: EventPublisher,
        tree: CategoryTree,
        identity: Identity,
        revocations: RevocationList,
        *,
        allowed_origins: Sequence[str] = (),
        limits: LiveLimits | None = None,
    ) -> None:
        """``allowed_origins`` are allowed besides the edge's own host."""
        self.limits = limits or LiveLimits()
        self._publisher = publisher
        self._tree = tree
        self._identity = identity
        self._origins = Origins(allowed_origins)
        self._revocations = revocations
        self._limiter = LiveConnectionLimiter(self.limits)
        self._scheduler = FairScheduler()

    async def serve(self, socket: WebSocket[Any, Any, Any]) -> None:
        """Serve one connection until either side ends it."""
        await socket.accept()
        address = current_request_context().client_ip or (socket.client.host if socket.client else "")
        try:
            self._check_origin(socket)
            allowance = self._limiter.enter(address)
        except CloseSocket as why:
            await close(socket, why)
            return
        client = ClientState(self.limits, self._tree, scheduler=self._scheduler, allowance=allowance)
        connection = LiveConnection(socket, client, self._publisher, self._identity, self._revocations)
        try:
            self._publisher.enter(client)
            await connection.run()
        except CloseSocket as why:
            self._publisher.unsubscribe_all(client)
            await close(socket, why)
        finally:
            self._publisher.leave(client)
            self._limiter.leave(allowance)

    def _check_origin(self, socket: WebSocket[Any, Any, Any]) -> None:
        """Check the origin, which browsers send and other clients do not."""
        if not self._origins.may_connect(socket.headers.get("origin", ""), socket.headers.get("host", "")):
            raise NotAllowed("ORIGIN_NOT_ALLOWED", "Pages of this origin may not open live connections.")


class LiveConnection:
    """One open connection: reads messages, sends frames, watches the token."""

    def __init__(
        self,
        socket: WebSocket[Any, Any, Any],
        client: ClientState,
        publisher: EventPublisher,
        identity: Identity,
        revocations: RevocationList,
    ) -> None:
        """Serve ``client`` over ``socket``."""
        self._socket = socket
        self._client = client
        self._publisher = publisher
        self._identity = identity
        self._revocations = revocations
        self._watch_revocations = contextlib.ExitStack()  # notified when the token is revoked
        self._revoked = False
        self._limits = client.outbox.limits
        self._rate = TokenBucket(self._limits.messages_per_second, self._limits.message_burst)
        self._token = ""
        self._by_cookie = False
        self._expires_at = 0.0
        self._token_changed = asyncio.Event()
        self._sending_since: float | None = None
        self._quiet_since = time.monotonic()
        self._sent = 0

    async def run(self) -> None:
        """Serve until the client disconnects; raise ``CloseSocket`` when it is to be closed."""
        try:
            await self._identify()
        except PartstreamError as error:
            if self._socket.headers.get("authorization"):
                raise TokenEnded(error.reason, error.message) from None
            # A browser sends its cookie unasked: with an expired one the client continues as a guest.
            self._client.outbox.put(encode(ErrorFrame(error.reason, "You are not signed in: you continue as a guest.")))
        self._bookmark_when_quiet()
        tasks = [asyncio.ensure_future(work) for work in (self._read(), self._write(), self._guard(), self._closed())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            self._bookmark.cancel()
            self._watch_revocations.close()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            self._count_frames()
        reasons = [outcome for outcome in outcomes if isinstance(outcome, CloseSocket)]
        if reasons:
            raise reasons[0]
        for outcome in outcomes:
            if isinstance(outcome, Exception) and not isinstance(outcome, WebSocketDisconnect):
                log.error("live connection failed", exc_info=outcome)
                raise CloseSocket("INTERNAL", "Internal error: connect again.")

    async def _read(self) -> None:
        while True:
            event: Any = await self._socket.receive()
            if event["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(detail="the client left", code=event.get("code") or 1005)
            text: str | None = event.get("text")
            if text is None:
                raise BadMessage("Messages are texts, not bytes.")
            if _is_longer(text, self._limits.message_bytes):
                raise LimitReached("LIMIT_REACHED", f"A message has {self._limits.message_bytes} bytes at most.")
            if not self._rate.take():
                raise LimitReached("LIMIT_REACHED", "You send too many messages.")
            message = decode(text)
            try:
                await self._client.allowance.spend(self._work_of(message, len(text)))
                await self._handle(message)
            except Rejected as error:
                frame = ErrorFrame(error.reason, error.message, getattr(message, "id", ""))
                self._client.outbox.put(encode(frame))

    def _work_of(self, message: Message, characters: int) -> int:
        """Return what a message costs, before it is handled; see ``LiveLimits.work_per_second``."""
        work = 1 + characters // CHARACTERS_A_UNIT
        if isinstance(message, Subscribe):
            work += (
                len(message.parts) + len(message.categories) + self._publisher.missed(message.cursor) // CHANGES_A_UNIT
            )
        return work

    async def _handle(self, message: Message) -> None:
        if isinstance(message, Subscribe):
            self._check(message)
            await self._publisher.subscribe(self._client, message)
        elif isinstance(message, Unsubscribe):
            self._publisher.unsubscribe(self._client, message.id)
            self._client.outbox.put(encode(UnsubscribedFrame(message.id)))
        elif isinstance(message, Authenticate):
            await self._authenticate(message.token)
        elif isinstance(message, Ping):
            self._client.outbox.put(encode(PongFrame()))

    def _check(self, wanted: Subscribe) -> None:
        """Raise ``Rejected`` for a subscription beyond the limits."""
        limits = self._limits
        if not wanted.parts and not wanted.categories:
            raise Rejected("FIELD_INVALID", "Name parts or categories.")
        if len(wanted.parts) > limits.parts_per_subscription:
            raise Rejected(
                "LIMIT_REACHED", f"A subscription has {limits.parts_per_subscription} parts at most: use several."
            )
        if len(wanted.categories) > limits.categories_per_subscription:
            raise Rejected(
                "LIMIT_REACHED", f"A subscription has {limits.categories_per_subscription} categories at most."
            )
        held = self._client.subscriptions
        if wanted.id not in held and len(held) >= limits.subscriptions:
            raise Rejected("LIMIT_REACHED", f"A connection has {limits.subscriptions} subscriptions at most.")

    async def _identify(self) -> None:
        """Set the caller from the header, or from the cookie of a signed-in browser."""
        context = current_request_context()
        context.bearer = ""  # a cookie is looked up again, and yields a new token as long as its session lasts
        caller = await self._identity.identify(self._socket)
        if context.bearer:
            self._by_cookie = context.by_cookie
            self._become(caller, context.bearer)

    async def _authenticate(self, token: str) -> None:
        try:
            caller = await self._identity.verify(token)
        except PartstreamError as error:
            raise Rejected(error.reason, error.message) from None
        self._by_cookie = False
        self._become(caller, token)
        self._token_changed.set()
        self._client.outbox.put(encode(AuthenticatedFrame(caller.username, int(self._expires_at))))

    def _become(self, caller: Caller, token: str) -> None:
        claims = jwt.decode(token, options={"verify_signature": False})  # verified by the identity service
        self._token, self._expires_at = token, float(claims["exp"])
        self._client.caller = caller
        self._watch_revocations.close()
        self._watch_revocations.enter_context(self._revocations.watching(caller, self._on_revoked))

    def _on_revoked(self) -> None:
        self._revoked = True
        self._token_changed.set()

    async def _write(self) -> NoReturn:
        outbox = self._client.outbox
        while True:
            item = outbox.take()
            if item is not None:
                frame = await self._frame(item)
                if frame is not None:
                    await self._send(frame)
                    if not self._sent % FRAMES_IN_A_ROW:
                        await asyncio.sleep(0)  # such a send does not yield to the event loop by itself
            else:
                await outbox.wait()

    def _bookmark_when_quiet(self) -> None:
        """Send bookmarks with one timer per connection: a timer per frame would cost as much as the frame."""
        left = self._quiet_since + self._limits.bookmark_seconds - time.monotonic()
        if left <= 0:
            left = self._limits.bookmark_seconds
            if self._sending_since is None and not len(self._client.outbox) and self._publisher.cursor:
                self._client.outbox.put(encode(BookmarkFrame(self._publisher.cursor)))
        self._bookmark = asyncio.get_running_loop().call_later(left, self._bookmark_when_quiet)

    async def _frame(self, item: Item) -> str | None:
        if isinstance(item, str):
            return item
        if isinstance(item, Slot):
            return await item.frame()
        if isinstance(item, Preparation):
            try:
                await item.run()
            except PartstreamError:
                await asyncio.sleep(RETRY_SECONDS)
            return None
        if isinstance(item, StockEvent):
            while not item.is_known:
                try:
                    await self._publisher.resolve(item, *self._client.outbox.unknown(STATES_AT_ONCE))
                except PartstreamError:
                    await asyncio.sleep(RETRY_SECONDS)
        return self._client.render(item)

    async def _send(self, frame: str) -> None:
        self._sending_since = self._quiet_since = (
            time.monotonic()
        )  # a timeout per frame would double the cost of a frame
        await self._socket.send({"type": "websocket.send", "bytes": None, "text": frame})
        self._sending_since = None
        self._sent += 1

    async def _guard(self) -> NoReturn:
        """Watch the token, its session, and a frame that the client does not accept."""
        while True:
            self._count_frames()
            if self._sending_since and time.monotonic() - self._sending_since > self._limits.send_seconds:
                raise TooSlow
            self._token_changed.clear()
            left = self._expires_at - time.time() if self._token else RECHECK_SECONDS
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.0 if self._revoked else max(0.0, min(left, RECHECK_SECONDS))):
                    await self._token_changed.wait()
                if not self._revoked:
                    continue
            self._revoked = False
            if self._token:
                await self._recheck()

    def _count_frames(self) -> None:
        outbox = self._client.outbox
        metrics.LIVE_FRAMES.inc(self._sent)
        metrics.LIVE_CONFLATED.inc(outbox.conflated)
        self._sent = outbox.conflated = 0

    async def _recheck(self) -> None:
        """Verify the token again: close staff whose token has ended, continue with others as the public."""
        try:
            if self._by_cookie:
                await self._identify()
                return
            if time.time() < self._expires_at:
                await self._identity.verify(self._token)
                return
            why = TokenEnded("TOKEN_EXPIRED", "The token has expired: connect again with a new one.")
        except Unauthenticated as error:
            why = TokenEnded(error.reason, error.message)
        except PartstreamError:
            return  # the session store is unavailable; the token itself is still valid
        if self._client.is_stock_staff or self._client.is_content_staff:
            raise why
        self._token = ""
        self._client.caller = ANONYMOUS
        self._client.outbox.put(encode(ErrorFrame(why.reason, "The token has ended: you continue as a guest.")))

    async def _closed(self) -> NoReturn:
        raise await self._client.outbox.closed()


def _is_longer(text: str, max_bytes: int) -> bool:
    """Return whether a text has more bytes than allowed; short texts need no encoding."""
    return len(text) > max_bytes or (len(text) * 4 > max_bytes and len(text.encode()) > max_bytes)


def live_route(endpoint: LiveEndpoint) -> WebsocketRouteHandler:
    """Return the route to mount under ``/api/v1``."""

    @websocket("/live", websocket_class=OpenSocket)
    async def live(socket: WebSocket[Any, Any, Any]) -> None:
        await endpoint.serve(socket)

    return live
