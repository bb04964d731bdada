"""Watchers that write down what they see, so that a test can say afterwards what no watcher may see."""

import asyncio
import contextlib
import json
from abc import abstractmethod
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

import grpc
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from chassis.channels import open_channel
from chassis.tokens import ServiceToken, SigningKey
from partstream.inventory.v1 import stock_change_pb2, stock_service_pb2
from partstream.inventory.v1.stock_service_pb2_grpc import InventoryServiceStub
from tests.flow.running_stack import RunningStack

RECONNECT_SECONDS = 0.05
NOT_YET = frozenset({"STORE_UNAVAILABLE", "DEADLINE", "DEADLINE_EXCEEDED", "OVERLOADED"})
TOO_SLOW = "WATCHER_TOO_SLOW"
TIMEOUT_SECONDS = 60.0


class Recorder:
    """Follows in the background from `async with` on, over every broken connection."""

    def __init__(self, stack: RunningStack) -> None:
        self.stack = stack
        self.faults: list[str] = []
        self.reconnects = 0
        self._began = asyncio.Event()
        self._news = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._follow())
        began = asyncio.create_task(self._began.wait())
        await asyncio.wait([self._task, began], return_when=asyncio.FIRST_COMPLETED, timeout=TIMEOUT_SECONDS)
        began.cancel()
        if self._task.done():
            self._task.result()
        if not self._began.is_set():
            self.stack.show_log()
            pytest.fail(f"nothing to follow within {TIMEOUT_SECONDS:.0f} s")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def until(self, holds: Callable[[], bool], within: float = TIMEOUT_SECONDS) -> None:
        """Return once `holds`, which is looked at whenever something new was recorded."""
        try:
            async with asyncio.timeout(within), self._news:
                await self._news.wait_for(holds)
        except TimeoutError:
            self.stack.show_log()
            pytest.fail(f"not within {within:.0f} s; {self.described()}")

    def described(self) -> str:
        """Say what was recorded, for a failure."""
        return f"{self.reconnects} reconnects, faults {self.faults}"

    @abstractmethod
    async def _follow(self) -> None: ...

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()


class StockRecorder(Recorder):
    """A gRPC watcher of every stock change; a fault is a revision that is not the one after the last."""

    def __init__(self, stack: RunningStack) -> None:
        super().__init__(stack)
        self.changes: list[stock_change_pb2.StockChange] = []
        self.revision = 0

    def described(self) -> str:
        """Say what was recorded, for a failure."""
        return f"{super().described()}, {len(self.changes)} changes up to revision {self.revision}"

    async def _follow(self) -> None:
        token = ServiceToken(SigningKey.load(self.stack.signing_key()), "flow-test")
        async with open_channel(self.stack.targets("inventory"), token=token) as channel:
            stub = InventoryServiceStub(channel)
            cursor = ""
            async for page in stub.SnapshotStock(stock_service_pb2.SnapshotStockRequest()):
                cursor = cursor or page.cursor
            self._began.set()
            while True:
                try:
                    async for message in stub.WatchStock(stock_service_pb2.WatchStockRequest(cursor=cursor)):
                        self._take(message.changes)
                        cursor = message.cursor
                        await self._tell()
                except grpc.aio.AioRpcError:
                    self.reconnects += 1
                    await asyncio.sleep(RECONNECT_SECONDS)

    def _take(self, changes: Iterable[stock_change_pb2.StockChange]) -> None:
        for change in changes:
            if self.revision and change.revision != self.revision + 1:
                self.faults.append(f"revision {change.revision} after {self.revision}")
            self.revision = change.revision
            self.changes.append(change)


class LiveRecorder(Recorder):
    """A browser that is subscribed to some parts; a fault is a version that goes back.

    A version may come twice: a part that becomes public is announced with its stock, which a client that subscribed
    from a read ahead of the log has already. The protocol calls duplicates harmless, gaps not.

    One that wants all events may also miss none: a fault is a version that is not the one after the last. It may be
    sent away because it is too slow, as on a busy machine it is, and comes back with its cursor.
    """

    def __init__(self, stack: RunningStack, parts: Iterable[str], *, edge: int = 1, mode: str = "latest") -> None:
        super().__init__(stack)
        self.levels: dict[str, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self._parts = list(parts)
        self._edge = edge
        self._mode = mode
        self._cursor = ""

    def described(self) -> str:
        """Say what was recorded, for a failure."""
        return f"{super().described()}, levels {self.levels}"

    def version(self, part: str) -> int:
        """Return the version of a part's stock that the browser has; 0 = none yet."""
        return int(self.levels.get(part, {}).get("version", 0))

    async def _follow(self) -> None:
        while True:
            try:
                async with connect(self.stack.live_url(self._edge), max_size=None) as socket:
                    await self._subscribe(socket)
                    async for frame in socket:
                        message = json.loads(frame)
                        if message["type"] == "error" and message["reason"] in NOT_YET:
                            # As the frame says: a service that was just replaced could not be read.
                            await asyncio.sleep(RECONNECT_SECONDS)
                            await self._subscribe(socket)
                            continue
                        self._take(message)
                        await self._tell()
            except (ConnectionClosed, InvalidHandshake, OSError):
                self.reconnects += 1
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _subscribe(self, socket: ClientConnection) -> None:
        wanted = {"op": "subscribe", "id": "s1", "parts": self._parts, "mode": self._mode}
        if self._cursor:
            wanted["cursor"] = self._cursor
        await socket.send(json.dumps(wanted))

    def _take(self, message: dict[str, Any]) -> None:
        self._cursor = message.get("cursor", self._cursor)
        match message["type"]:
            case "subscribed":
                for part in message["parts"]:
                    self._see(part, at_least=self.version(part["part_id"]))
                self._began.set()
            case "stock":
                before = self.version(message["part_id"])
                self._see(message, at_least=before)
                if self._mode == "all" and message["version"] > before + 1:
                    self.faults.append(f"{message['part_id']}: version {message['version']} after {before}")
                self.events.append(message)
            case "content":
                self.events.append(message)
            case "error" if message["reason"] != TOO_SLOW or self._mode != "all":
                self.faults.append(json.dumps(message))

    def _see(self, level: dict[str, Any], *, at_least: int) -> None:
        if level["version"] < at_least:
            self.faults.append(f"{level['part_id']}: version {level['version']} after {at_least}")
        self.levels[level["part_id"]] = level
