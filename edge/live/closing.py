"""Closes a connection so that the close code reaches the client, even one that continues to send.

A TCP connection that is closed with unread bytes is reset, and the reset overtakes the close frame: the client gets
1006. Therefore a second socket keeps the connection open while the listener drops its own with the close frame, and the
bytes of the client are discarded until it has closed as well. Finding the connection takes long when many files are
open; then this is done only for a client that does not pause.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Any, Final

from edge import metrics
from edge.http.open_sockets import accepted, duplicate, open_files
from edge.live.errors import CloseSocket, Restarting, TooSlow
from edge.live.protocol import ErrorFrame, encode

if TYPE_CHECKING:
    from litestar import WebSocket

CLOSE_SECONDS: Final = 2.0
CLOSE_SLOW_SECONDS: Final = 15.0  # a client with full buffers learns the reason only after reading them
FEW_FILES: Final = 2_000  # are searched in about 20 ms, without waiting for a pause of the client
PAUSE_SECONDS: Final = 0.1
DRAIN_SECONDS: Final = 1.0
LINGER_SECONDS: Final = 10.0  # a client that floods reads late
SLOW_BYTES: Final = 16 * 1024
SLOW_BYTES_SECONDS: Final = 0.1
SLOW_SECONDS: Final = 8.0  # one that sends 1 MB/s fills the buffers of Linux in 5 s
FAST_BYTES: Final = 256 * 1024

_looking = asyncio.Semaphore(1)  # a search of the open files of the process takes up to 0.2 s of a thread


async def close(connection: WebSocket[Any, Any, Any], why: CloseSocket) -> None:
    """Send the reason, then close; a client that accepts neither is left to the listener."""
    metrics.LIVE_CLOSED.labels(str(why.code)).inc()
    with contextlib.suppress(Exception):
        async with asyncio.timeout(CLOSE_SLOW_SECONDS if isinstance(why, TooSlow) else CLOSE_SECONDS):
            frame = encode(ErrorFrame(why.reason, why.message))
            await connection.send({"type": "websocket.send", "bytes": None, "text": frame})
    held = None
    with contextlib.suppress(Exception):
        # All connections end at once at shutdown: there is nothing to wait for then.
        if not isinstance(why, Restarting) and (open_files() <= FEW_FILES or not await _is_quiet(connection)):
            held = await _hold(connection)
    with contextlib.suppress(Exception):
        async with asyncio.timeout(CLOSE_SECONDS):
            await connection.close(code=why.code, reason=why.reason)
    if held is not None:
        await _discard(held)


async def _is_quiet(connection: WebSocket[Any, Any, Any]) -> bool:
    """Discard messages; ``False`` when the client has neither paused nor disconnected in ``DRAIN_SECONDS``."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            while True:
                try:
                    async with asyncio.timeout(PAUSE_SECONDS):
                        message: Any = await connection.receive()
                except TimeoutError:
                    return True
                if message["type"] == "websocket.disconnect":
                    return True
    return False


async def _hold(connection: WebSocket[Any, Any, Any]) -> socket.socket | None:
    """Return a second socket of the connection, which outlives the listener's; ``None`` when it cannot be found."""
    client, server = connection.scope.get("client"), connection.scope.get("server")
    if client is None or server is None:
        return None
    peer, port = (client[0], str(client[1])), int(server[1] or 0)
    async with _looking:
        found = await asyncio.to_thread(accepted, port)
    for item in found:
        if item.peer == peer:
            return duplicate(port, item)
    return None


async def _discard(held: socket.socket) -> None:
    """Shut down our side and discard what the client sends until it closes, for ``LINGER_SECONDS`` at most.

    Read slowly at first: a client that only sends then has to wait for its buffers, and reads.
    """
    loop = asyncio.get_running_loop()
    slow_until = loop.time() + SLOW_SECONDS
    with held, contextlib.suppress(OSError, TimeoutError):
        held.setblocking(False)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_BYTES)
        held.shutdown(socket.SHUT_WR)
        async with asyncio.timeout(LINGER_SECONDS):
            while loop.time() < slow_until:
                if not await loop.sock_recv(held, SLOW_BYTES):
                    return
                await asyncio.sleep(SLOW_BYTES_SECONDS)
            held.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, FAST_BYTES)
            while await loop.sock_recv(held, FAST_BYTES):
                pass
