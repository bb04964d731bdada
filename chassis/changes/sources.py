"""The two logs as a follower reads them, over gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.duration_pb2 import Duration

from chassis.changes.follower import ChangeBatch
from chassis.rich_status import from_rpc_error
from partstream.content.v1 import part_service_pb2, part_service_pb2_grpc
from partstream.inventory.v1 import stock_service_pb2, stock_service_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence


class _Source:
    """What both logs share; open the channel for watches only, with ``chassis.channels.open_channel(token=…)``."""

    log = ""

    def __init__(self, watch: Callable[..., Any], snapshot: Callable[..., Any], messages: Any, items: str) -> None:
        self._watch = watch
        self._snapshot = snapshot
        self._messages = messages
        self._items = items

    async def watch(
        self, cursor: str, bookmark_seconds: float, part_ids: Sequence[str] = ()
    ) -> AsyncGenerator[ChangeBatch, None]:
        """Messages after a cursor, as they come."""
        interval = Duration()
        interval.FromMilliseconds(int(bookmark_seconds * 1000))
        watch_request, _ = self._messages
        request = watch_request(cursor=cursor, part_ids=part_ids, bookmark_interval=interval)
        try:
            async for message in self._watch(request):
                yield ChangeBatch(message.cursor, message.changes, message.fragment)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None

    async def snapshot(self) -> AsyncGenerator[tuple[str, Sequence[Any]], None]:
        """The cursor, then pages."""
        _, snapshot_request = self._messages
        try:
            async for message in self._snapshot(snapshot_request()):
                yield message.cursor, getattr(message, self._items)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None


class StockSource(_Source):
    """The inventory log: changes are ``StockChange``, resources ``StockLevel``."""

    log = "inventory"

    def __init__(self, channel: grpc.aio.Channel) -> None:
        """Use a channel that brings its own token."""
        stub = stock_service_pb2_grpc.InventoryServiceStub(channel)
        messages = (stock_service_pb2.WatchStockRequest, stock_service_pb2.SnapshotStockRequest)
        super().__init__(stub.WatchStock, stub.SnapshotStock, messages, "levels")


class PartSource(_Source):
    """The content log: changes are ``PartChange``, resources ``Part``."""

    log = "content"

    def __init__(self, channel: grpc.aio.Channel) -> None:
        """Use a channel that brings its own token."""
        stub = part_service_pb2_grpc.ContentServiceStub(channel)
        messages = (part_service_pb2.WatchPartsRequest, part_service_pb2.SnapshotPartsRequest)
        super().__init__(stub.WatchParts, stub.SnapshotParts, messages, "parts")
