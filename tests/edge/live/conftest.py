"""An edge that listens on a port, over both real services."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import ClientConnection, connect

from chassis.database import Database
from edge.app import Edge
from edge.settings import EdgeSettings
from tests.edge.routes.conftest import targets

__all__ = ["targets"]


@dataclasses.dataclass(frozen=True)
class LiveServer:
    """A listening edge and how to open sockets to it."""

    edge: Edge
    port: int
    stack: contextlib.AsyncExitStack

    async def open(self, **options: Any) -> LiveClient:
        """A new connection, closed when the test ends."""
        address = f"ws://127.0.0.1:{self.port}/api/v1/live"
        connection = await self.stack.enter_async_context(connect(address, proxy=None, **options))
        return LiveClient(connection)


class LiveClient:
    """A client that speaks JSON."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def say(self, op: str, **fields: Any) -> None:
        await self.connection.send(msgspec.json.encode({"op": op, **fields}).decode())

    async def hear(self) -> dict[str, Any]:
        frame: dict[str, Any] = msgspec.json.decode(await self.connection.recv())
        return frame

    async def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        await self.say(op, **fields)
        return await self.hear()

    async def closed(self) -> tuple[int | None, list[dict[str, Any]]]:
        """The close code, and what was said before."""
        said: list[dict[str, Any]] = []
        with contextlib.suppress(Exception):
            while True:
                said.append(await self.hear())
        await self.connection.wait_closed()
        return self.connection.close_code, said


@pytest.fixture
async def edge(database: Database, trail: Database, settings: EdgeSettings, free_port: int) -> AsyncIterator[Edge]:
    """An edge that runs and listens; without Redis."""
    listens = dataclasses.replace(settings, port=free_port, allowed_origins=("https://shop.example",))
    made = Edge(listens, database, trail)
    made.start()
    made.server.start()
    yield made
    await made.drain()
    await made.close()


@pytest.fixture
async def live(edge: Edge, free_port: int) -> AsyncIterator[LiveServer]:
    """The listening edge."""
    await listening(free_port)
    async with contextlib.AsyncExitStack() as stack:
        yield LiveServer(edge, free_port, stack)


async def listening(port: int) -> None:
    """Return once a client subscribes."""
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.01)
                continue
            writer.close()
            return
