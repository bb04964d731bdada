"""Raw bytes to and from a listening edge, including those that no HTTP library sends."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from edge.http.server import HttpServer
from stack.servers.ports import free_port
from tests.flow.eventually import eventually

_opened: list["Connection"] = []  # closed with the server

WAIT_SECONDS = 60  # for what a server does within one or two


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server sent until it closed the connection, or as much as a response has."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> dict[str, Any]:
        """The body as a problem document."""
        assert self.headers["content-type"] == "application/problem+json"
        document: dict[str, Any] = json.loads(self.body)
        return document


class Connection:
    """A raw connection to an edge."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, raw: bytes) -> None:
        self.writer.write(raw)

    def end(self) -> None:
        """Close the sending side only."""
        self.writer.write_eof()

    def close(self) -> None:
        self.writer.close()

    async def end_all(self) -> None:
        """Close, and wait until the connection is closed."""
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()

    async def reply(self) -> Reply:
        async with asyncio.timeout(WAIT_SECONDS):
            head = await self.reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").strip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
            return Reply(int(first.split()[1]), headers, body)

    async def closed(self) -> bytes:
        """Return the bytes received until the server closes the connection."""
        async with asyncio.timeout(WAIT_SECONDS):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""


async def connect(port: int, raw: bytes = b"") -> Connection:
    """Return a connection that has sent ``raw``."""
    connection = Connection(*await asyncio.open_connection("127.0.0.1", port))
    _opened.append(connection)
    connection.send(raw)
    return connection


async def ask(port: int, raw: bytes) -> Reply:
    """Return the reply to bytes sent on a new connection."""
    connection = await connect(port, raw)
    try:
        return await connection.reply()
    finally:
        connection.close()


@contextlib.asynccontextmanager
async def listening(app: Any, **options: Any) -> AsyncIterator[int]:
    """Serve an application with the server of the edge; yield the port."""
    port = free_port()
    server = HttpServer(app, "127.0.0.1", port, **options)
    server.start()
    await server.until_listening()
    try:
        yield port
    finally:
        while _opened:
            await _opened.pop().end_all()
        await server.stop()


async def until(condition: Callable[[], bool]) -> None:
    """Return when a condition of this process holds, which has no signal."""

    async def look() -> bool:
        return condition()

    await eventually(look)
