"""The two logs as a follower reads them, over gRPC."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.duration_pb2 import Duration

from changelog.cursor import position_in
from changelog.follower import ChangeBatch
from chassis.errors import EpochChanged
from chassis.rich_status import from_rpc_error
from partstream.changes.v1.change_log_service_pb2 import (
    GetLogStatusRequest,
    RegisterFollowerRequest,
    ReportPositionRequest,
)
from partstream.changes.v1.change_log_service_pb2_grpc import ChangeLogServiceStub
from partstream.content.v1 import part_service_pb2, part_service_pb2_grpc
from partstream.inventory.v1 import stock_service_pb2, stock_service_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

_SNAPSHOT_ATTEMPTS = 5  # in a row that bring nothing
# The server is replaced or away, has no room just now, or thinks that this reader dawdled.
_RESUMED_AFTER = frozenset({"UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"})
_SNAPSHOT_PAUSE_SECONDS = 0.5


class _Source:
    """What both logs share; open the channel for watches only, with ``chassis.channels.open_channel(token=…)``."""

    log = ""

    def __init__(
        self, channel: grpc.aio.Channel, watch: Callable[..., Any], snapshot: Callable[..., Any], follower: str
    ) -> None:
        self.follower = follower
        self._watch = watch
        self._snapshot = snapshot
        self._log_service = ChangeLogServiceStub(channel)

    async def watch(
        self, cursor: str, bookmark_seconds: float, part_ids: Sequence[str] = ()
    ) -> AsyncGenerator[ChangeBatch, None]:
        """Messages after a cursor, as they come."""
        interval = Duration()
        interval.FromMilliseconds(int(bookmark_seconds * 1000))
        call = self._watch(self._watch_request(cursor, interval, part_ids))
        try:
            async for message in call:
                yield ChangeBatch(message.cursor, message.changes, message.fragment, message.newest_revision)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None
        finally:
            call.cancel()  # one that is only dropped stays open for as long as the channel does

    async def snapshot(self) -> AsyncGenerator[tuple[str, Sequence[Any]], None]:
        """The cursor, then pages. One that breaks is resumed where it broke, as long as it gets on.

        Pages read after that are younger than the cursor; the changes between are applied to them again, which does
        nothing, because every change names the version it leads to.
        """
        cursor, resume_key = "", ""
        fruitless = 0
        while True:
            began_after = resume_key
            call = self._snapshot(self._snapshot_request(resume_key))
            try:
                async for message in call:
                    if message.cursor:
                        if cursor:
                            self._require_same_epoch(cursor, message.cursor)
                            continue
                        cursor = message.cursor
                    resume_key = message.resume_key or resume_key
                    yield message.cursor, self._items(message)
            except grpc.aio.AioRpcError as error:
                told = from_rpc_error(error)
                fruitless = 0 if resume_key != began_after else fruitless + 1
                if not resume_key or told.code not in _RESUMED_AFTER or fruitless >= _SNAPSHOT_ATTEMPTS:
                    raise told from None
                pause = told.retry_after_seconds or 0.0
                await asyncio.sleep(random.uniform(pause, pause + _SNAPSHOT_PAUSE_SECONDS))  # noqa: S311 - spreads load
            else:
                return
            finally:
                call.cancel()

    async def head(self) -> str:
        """The cursor of the newest entry."""
        try:
            status = await self._log_service.GetLogStatus(GetLogStatusRequest(), timeout=5)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None
        cursor: str = status.head_cursor
        return cursor

    async def register(self, cursor: str) -> None:
        """Make the follower known to the service: it keeps what comes after the cursor."""
        request = RegisterFollowerRequest(name=self.follower, cursor=cursor)
        try:
            await self._log_service.RegisterFollower(request, timeout=5)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None

    async def report(self, cursor: str) -> None:
        """Tell the service how far the follower has come: it keeps what comes after."""
        request = ReportPositionRequest(name=self.follower, cursor=cursor)
        try:
            await self._log_service.ReportPosition(request, timeout=5)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None

    def _require_same_epoch(self, first: str, now: str) -> None:
        positions = [position_in(text, self.log) for text in (first, now)]
        if len({position.epoch for position in positions if position}) != 1:
            message = "The log began a new epoch while a snapshot was read."
            raise EpochChanged(message)

    def _watch_request(self, cursor: str, interval: Duration, part_ids: Sequence[str]) -> Any:
        raise NotImplementedError

    def _snapshot_request(self, start_after: str) -> Any:
        raise NotImplementedError

    def _items(self, message: Any) -> Sequence[Any]:
        raise NotImplementedError


class StockSource(_Source):
    """The inventory log: changes are ``StockChange``, resources ``StockLevel``."""

    log = "inventory"

    def __init__(self, channel: grpc.aio.Channel, follower: str = "") -> None:
        """Use a channel that brings its own token; ``follower`` is the name of a registered follower that reports."""
        stub = stock_service_pb2_grpc.InventoryServiceStub(channel)
        super().__init__(channel, stub.WatchStock, stub.SnapshotStock, follower)

    def _watch_request(self, cursor: str, interval: Duration, part_ids: Sequence[str]) -> Any:
        return stock_service_pb2.WatchStockRequest(
            cursor=cursor, part_ids=part_ids, bookmark_interval=interval, follower=self.follower
        )

    def _snapshot_request(self, start_after: str) -> Any:
        return stock_service_pb2.SnapshotStockRequest(start_after=start_after)

    def _items(self, message: Any) -> Sequence[Any]:
        levels: Sequence[Any] = message.levels
        return levels


class PartSource(_Source):
    """The content log: changes are ``PartChange``, resources ``Part``."""

    log = "content"

    def __init__(self, channel: grpc.aio.Channel, follower: str = "") -> None:
        """Use a channel that brings its own token; ``follower`` is the name of a registered follower that reports."""
        stub = part_service_pb2_grpc.ContentServiceStub(channel)
        super().__init__(channel, stub.WatchParts, stub.SnapshotParts, follower)

    def _watch_request(self, cursor: str, interval: Duration, part_ids: Sequence[str]) -> Any:
        return part_service_pb2.WatchPartsRequest(
            cursor=cursor, part_ids=part_ids, bookmark_interval=interval, follower=self.follower
        )

    def _snapshot_request(self, start_after: str) -> Any:
        return part_service_pb2.SnapshotPartsRequest(start_after=start_after)

    def _items(self, message: Any) -> Sequence[Any]:
        parts: Sequence[Any] = message.parts
        return parts
