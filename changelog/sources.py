"""The two logs as sources of a follower, over gRPC."""

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

_SNAPSHOT_ATTEMPTS = 5  # in a row without a page
# The server shuts down or is unavailable, reads too many snapshots, or timed this reader out.
_RESUMED_AFTER = frozenset({"UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"})
_SNAPSHOT_PAUSE_SECONDS = 0.5


class _Source:
    """The common part of both logs. Open the channel for watches only, with ``open_channel(token=…)``."""

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
        """Yield messages after a cursor."""
        interval = Duration()
        interval.FromMilliseconds(int(bookmark_seconds * 1000))
        call = self._watch(self._watch_request(cursor, interval, part_ids))
        try:
            async for message in call:
                yield ChangeBatch(message.cursor, message.changes, message.fragment, message.newest_revision)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None
        finally:
            call.cancel()  # a call that is only dropped stays open as long as the channel

    async def snapshot(self) -> AsyncGenerator[tuple[str, Sequence[Any]], None]:
        """Yield the cursor, then pages. A broken snapshot is resumed after its last page, as long as pages arrive.

        Pages read after that are newer than the cursor. The changes in between are applied to them again, without an
        effect, because every change names its version.
        """
        cursor, resume_key = "", ""
        attempts = 0
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
                failure = from_rpc_error(error)
                attempts = 0 if resume_key != began_after else attempts + 1
                if not resume_key or failure.code not in _RESUMED_AFTER or attempts >= _SNAPSHOT_ATTEMPTS:
                    raise failure from None
                pause = failure.retry_after_seconds or 0.0
                await asyncio.sleep(random.uniform(pause, pause + _SNAPSHOT_PAUSE_SECONDS))  # noqa: S311 - spreads load
            else:
                return
            finally:
                call.cancel()

    async def head(self) -> str:
        """Return the cursor of the newest entry."""
        try:
            status = await self._log_service.GetLogStatus(GetLogStatusRequest(), timeout=5)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None
        cursor: str = status.head_cursor
        return cursor

    async def register(self, cursor: str) -> None:
        """Register the follower: the service retains the entries after the cursor."""
        request = RegisterFollowerRequest(name=self.follower, cursor=cursor)
        try:
            await self._log_service.RegisterFollower(request, timeout=5)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None

    async def report(self, cursor: str) -> None:
        """Report the follower's position: the service retains the entries after it."""
        request = ReportPositionRequest(name=self.follower, cursor=cursor)
        try:
            await self._log_service.ReportPosition(request, timeout=5)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None

    def _require_same_epoch(self, first: str, now: str) -> None:
        positions = [position_in(text, self.log) for text in (first, now)]
        if len({position.epoch for position in positions if position}) != 1:
            message = "The log has a new epoch since the snapshot was started."
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
        """``channel`` adds its own token to calls; ``follower`` is the name of a registered follower that reports."""
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
        """``channel`` adds its own token to calls; ``follower`` is the name of a registered follower that reports."""
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
