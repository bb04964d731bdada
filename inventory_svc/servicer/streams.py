"""The two streams: a snapshot of all levels, and the changes after it."""

# ruff: noqa: N802, ARG002 - the names and parameters of the contract

from __future__ import annotations

from typing import TYPE_CHECKING

from changelog.follower_registry import PERMISSION
from changelog.snapshot_gate import SnapshotGate
from changelog.visibility import PUBLIC, audience
from chassis.caller import current_caller, require
from inventory_svc.convert import responses
from inventory_svc.servicer.base import Base
from partstream.inventory.v1 import stock_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from changelog.feed import ChangeFeed
    from inventory_svc.commands.publication import PublishedParts
    from inventory_svc.domain.guest_limits import GuestLimits
    from inventory_svc.queries import Queries
    from inventory_svc.servicer.base import Context
    from inventory_svc.writer.group_commit import Writer

_BOOKMARK_SECONDS = 5.0


class Streams(Base):
    """Methods of the streams. The public gets published parts, summed over their locations; staff get every level."""

    def __init__(
        self, writer: Writer, queries: Queries, feed: ChangeFeed, published: PublishedParts, guest_limits: GuestLimits
    ) -> None:
        """Store the parts that the composition root constructed, and add the snapshot gate."""
        super().__init__(writer, queries, feed, published, guest_limits)
        self._snapshots = SnapshotGate()

    async def SnapshotStock(
        self, request: pb.SnapshotStockRequest, context: Context
    ) -> AsyncIterator[pb.SnapshotStockResponse]:
        """Yield the cursor first, then every level in pages."""
        is_public = audience(current_caller(), "inventory") == PUBLIC
        part_id, _, location_id = request.start_after.partition("/")
        with self._snapshots.enter() as require_time:
            async with self.queries.snapshot() as snapshot:
                yield pb.SnapshotStockResponse(cursor=self.feed.token_for(snapshot.revision))
                if is_public:
                    async for stocks in snapshot.public_pages(part_id):
                        require_time()
                        shown = [responses.public_level(item) for item in stocks]
                        yield pb.SnapshotStockResponse(levels=shown, resume_key=stocks[-1].part_id)
                    return
                async for levels in snapshot.pages((part_id, location_id)):
                    require_time()
                    yield pb.SnapshotStockResponse(
                        levels=[responses.level(item) for item in levels],
                        resume_key="/".join(levels[-1].key),
                    )

    def WatchStock(  # the interceptors pass bytes on unchanged
        self, request: pb.WatchStockRequest, context: Context
    ) -> AsyncIterator[bytes]:
        """Return the changes after a cursor, serialised once for all watchers."""
        interval = request.bookmark_interval.ToTimedelta().total_seconds() or _BOOKMARK_SECONDS
        if request.follower:
            require(PERMISSION)
        watching = audience(current_caller(), "inventory")
        hides = self.published.hides if watching == PUBLIC else None
        return self.feed.watch(request.cursor, request.part_ids, interval, watching, hides, follower=request.follower)
