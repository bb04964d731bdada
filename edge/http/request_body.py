"""Receive the complete body of a request, in bounded time and memory, before the application serves it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final

from chassis.errors import FieldViolation
from edge.http.errors import BodyTimeout, BodyTooLarge, MalformedRequest
from edge.http.methods import SAFE_METHODS
from edge.metrics import CONNECTIONS_CLOSED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from litestar.types import Receive

    from edge.http.connections import Connection, ConnectionLimiter

MAX_BODY_BYTES: Final = 1024 * 1024  # a part's description has 100,000 characters at most; a batch 1,000 items
BYTES_PER_SECOND: Final = 16 * 1024  # a body may take a second longer for each of these that have arrived
DISCARDED_BYTES: Final = 16 * 1024 * 1024
DISCARD_SECONDS: Final = 2.0


class BodyAborted(MalformedRequest):
    """The client closed the connection in the middle of the body: no client receives the response."""


class BodyReader:
    """Reads bodies; a client has ``seconds`` for one, and more as long as it keeps sending."""

    def __init__(self, connections: ConnectionLimiter, seconds: float) -> None:
        """Register waiting requests with ``connections``."""
        self._connections = connections
        self._seconds = seconds

    async def read(
        self, method: str, headers: Mapping[bytes, bytes], receive: Receive, connection: Connection
    ) -> Receive:
        """Return the ``receive`` from which the application gets the whole body at once.

        Raise ``BodyTimeout``, ``BodyTooLarge``, ``BodyAborted``, or ``MalformedRequest`` for malformed
        chunks. The body of a safe method is not read: no route uses it.
        """
        if not has_body(method, headers):
            return receive
        length = headers.get(b"content-length", b"0").strip()
        chunked = b"transfer-encoding" in headers
        if length.isdigit() and int(length) > MAX_BODY_BYTES:
            raise _too_large()
        with self._connections.waiting(connection):
            try:
                async with asyncio.timeout(self._seconds) as connection.deadline:
                    return _replaying(await self._receive(receive, connection, chunked=chunked), receive)
            except TimeoutError:
                raise _timeout(connection) from None

    async def _receive(self, receive: Receive, connection: Connection, *, chunked: bool) -> bytes:
        parts: list[bytes] = []
        last = asyncio.get_running_loop().time() + self._seconds
        while True:
            message: Any = await receive()
            if message["type"] == "http.disconnect":
                raise (
                    _malformed_chunks()
                    if chunked
                    else BodyAborted("The connection closed before the body was complete.")
                )
            part = message.get("body", b"")
            parts.append(part)
            self._connections.buffer(connection, len(part))
            if connection.buffered > MAX_BODY_BYTES:
                raise _too_large()
            if not message.get("more_body"):
                return b"".join(parts)
            if connection.deadline is not None and not connection.replaced:
                connection.deadline.reschedule(last + connection.buffered / BYTES_PER_SECOND)


def has_body(method: str, headers: Mapping[bytes, bytes]) -> bool:
    """Return whether a request has a body that a route uses."""
    length = headers.get(b"content-length", b"0").strip()
    return method not in SAFE_METHODS and (length != b"0" or b"transfer-encoding" in headers)


async def discard(receive: Receive) -> None:
    """Discard the rest of a rejected body, for a bounded time.

    A connection that is closed with unread bytes is reset, and the reset overtakes the response.
    """
    size = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DISCARD_SECONDS):
            while size < DISCARDED_BYTES:
                message: Any = await receive()
                size += len(message.get("body", b""))
                if not message.get("more_body"):
                    return


def _replaying(body: bytes, receive: Receive) -> Receive:
    is_sent = False

    async def replayed() -> Any:
        nonlocal is_sent
        if is_sent:
            return await receive()
        is_sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


def _too_large() -> BodyTooLarge:
    return BodyTooLarge(f"A body has {MAX_BODY_BYTES} bytes at most.")


def _malformed_chunks() -> MalformedRequest:
    message = "The body ended before its length, or its chunks cannot be read."
    return MalformedRequest(message, fields=[FieldViolation("", message)])


def _timeout(connection: Connection) -> BodyTimeout:
    if connection.replaced:
        return BodyTimeout("Too many connections are open, and this one had waited longest for its body.")
    CONNECTIONS_CLOSED.labels("body_timeout").inc()
    return BodyTimeout("The body did not arrive in time.")
