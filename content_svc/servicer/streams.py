"""Streaming methods: the snapshot of all parts, and the changes after a cursor."""

# ruff: noqa: N802, ARG002 - names and arguments are those of the generated base class
from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from changelog.follower_registry import PERMISSION
from changelog.snapshot_gate import SnapshotGate
from changelog.visibility import audience
from chassis.caller import current_caller, require
from content_svc.domain.part import Part
from content_svc.servicer.base import Base, Context, visible_part
from partstream.content.v1 import part_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from changelog.feed import ChangeFeed
    from content_svc.queries import Queries
    from content_svc.store.write_transactions import WriteTransactions

_BOOKMARK_SECONDS = 5.0
_SNAPSHOT_PAGE_BYTES = 512 * 1024


class Streams(Base):
    """Snapshot and watch."""

    def __init__(self, transactions: WriteTransactions, queries: Queries, feed: ChangeFeed) -> None:
        """Bound the snapshots that are read at once."""
        super().__init__(transactions, queries, feed)
        self._snapshots = SnapshotGate()

    async def SnapshotParts(
        self, request: pb.SnapshotPartsRequest, context: Context
    ) -> AsyncIterator[pb.SnapshotPartsResponse]:
        """Stream every part as of one revision, in messages of bounded size."""
        with self._snapshots.enter() as require_time:
            page, size = pb.SnapshotPartsResponse(), 0
            async with aclosing(self.queries.snapshot(request.start_after)) as items:
                async for item in items:
                    if not isinstance(item, Part):
                        yield pb.SnapshotPartsResponse(cursor=self.feed.token_for(item))
                        continue
                    message = visible_part(item)
                    page.parts.append(message)
                    page.resume_key = item.part_id
                    size += message.ByteSize()
                    if size >= _SNAPSHOT_PAGE_BYTES:
                        require_time()
                        yield page
                        page, size = pb.SnapshotPartsResponse(), 0
            if page.parts:
                yield page

    def WatchParts(self, request: pb.WatchPartsRequest, context: Context) -> AsyncIterator[bytes]:
        """Stream the changes after a cursor; each is serialised once for all watchers."""
        interval = request.bookmark_interval.ToTimedelta().total_seconds() or _BOOKMARK_SECONDS
        if request.follower:
            require(PERMISSION)
        watching = audience(current_caller(), "content")
        return self.feed.watch(request.cursor, request.part_ids, interval, watching, follower=request.follower)
