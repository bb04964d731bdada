"""A service of things: the real server, feed and log, over the inventory contract, for tests of followers."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from changelog.feed import ChangeFeed
from changelog.log_reader import LogReader
from chassis.revocation.listing import RevocationList
from chassis.server import Server
from chassis.tokens import TokenVerifier
from partstream.inventory.v1 import stock_service_pb2 as messages
from partstream.inventory.v1 import stock_service_pb2_grpc
from partstream.inventory.v1.stock_pb2 import StockLevel
from tests.changelog.change_log import encode, keys

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from chassis.database import Database

NAME = "partstream.inventory.v1.InventoryService"


class ThingServicer(stock_service_pb2_grpc.InventoryServiceServicer):
    """Watches and snapshots of things. ``skip`` and ``repeat`` cause errors that a follower must detect."""

    def __init__(self, database: Database, feed: ChangeFeed) -> None:
        self._database = database
        self._feed = feed
        self.skip: int | None = None
        self.repeat: int | None = None
        self.snapshots = 0

    async def WatchStock(self, request: messages.WatchStockRequest, context: Any) -> AsyncIterator[bytes]:  # type: ignore[override] # noqa: N802
        interval = request.bookmark_interval.ToMilliseconds() / 1000 or 5.0
        async with contextlib.aclosing(self._feed.watch(request.cursor, request.part_ids, interval, "staff")) as stream:
            async for raw in stream:
                yield self._made_wrong(raw)

    def _made_wrong(self, raw: bytes) -> bytes:
        if self.skip is None and self.repeat is None:
            return raw
        message = messages.WatchStockResponse.FromString(raw)
        revisions = [change.revision for change in message.changes]
        if self.skip in revisions:
            del message.changes[revisions.index(self.skip)]
            self.skip = None
        if self.repeat in revisions:
            message.changes.insert(0, message.changes[revisions.index(self.repeat)])
            message.changes.sort(key=lambda change: change.revision)
            self.repeat = None
        return message.SerializeToString()

    async def SnapshotStock(  # noqa: N802
        self, request: messages.SnapshotStockRequest, context: Any
    ) -> AsyncIterator[messages.SnapshotStockResponse]:
        self.snapshots += 1
        yield messages.SnapshotStockResponse(cursor=self._feed.token())
        for row in await self._database.pool.fetch("SELECT thing_id, amount FROM thing ORDER BY thing_id"):
            level = StockLevel(part_id=row["thing_id"], on_hand=row["amount"])
            yield messages.SnapshotStockResponse(levels=[level])


class ThingService:
    """One running replica; it can be stopped and started again on the same port."""

    def __init__(self, database: Database, port: int, **bounds: int) -> None:
        self._database = database
        self._bounds = bounds
        self.port = port

    async def start(self) -> None:
        self.feed = ChangeFeed(LogReader(self._database, "inventory"), encode, keys, **self._bounds)
        await self.feed.start()
        self.servicer = ThingServicer(self._database, self.feed)  # type: ignore[abstract]
        self._server = Server(
            NAME, verifier=TokenVerifier(""), revocations=RevocationList(followed=False), pack=lambda _: None, pings=[]
        )
        stock_service_pb2_grpc.add_InventoryServiceServicer_to_server(self.servicer, self._server.grpc_server)
        await self._server.start("127.0.0.1", self.port)

    async def stop(self) -> None:
        async def drain() -> None:
            self.feed.drain()

        await self._server.stop(drain)
        await self.feed.stop()
