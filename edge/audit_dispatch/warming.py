"""Queue product pages to be read again after their content changed. An optimisation: pages may be dropped."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

from changelog import cursor as cursors
from edge.metrics import WARMING_DROPPED
from partstream.content.v1 import part_pb2
from tasks.jobs import MAX_PAGES_PER_JOB, WARMING_QUEUE, JobQueue, JobsUnavailable

if TYPE_CHECKING:
    from edge.audit_dispatch.in_flight_window import Chunk

log = logging.getLogger(__name__)

_MAX_AGE_SECONDS: Final = 10.0  # clients have read a page that changed so long ago
_MAX_JOBS_WAITING: Final = 20
# More parts in one job's worth of entries are an import: reading all of their pages would only slow it down.
_MAX_PARTS: Final = MAX_PAGES_PER_JOB


class WarmingQueue:
    """Queues one job for the changed parts of a chunk, each once."""

    def __init__(self, jobs: JobQueue) -> None:
        """Use the process's queue."""
        self._jobs = jobs

    async def offer(self, chunk: Chunk) -> None:
        """Queue the published parts of a chunk, or drop them when too many jobs wait or Redis is unavailable."""
        parts = self._published(chunk)
        if not parts:
            return
        if len(parts) > _MAX_PARTS:
            WARMING_DROPPED.inc(len(parts))
            return
        token = cursors.encode(cursors.Position("content", chunk.epoch, chunk.last))
        try:
            if (await self._jobs.depth(WARMING_QUEUE)).waiting >= _MAX_JOBS_WAITING:
                WARMING_DROPPED.inc(len(parts))
                return
            await self._jobs.warm_pages(parts, token)
        except JobsUnavailable as error:
            WARMING_DROPPED.inc(len(parts))
            log.debug("pages are not warmed: %s", error)

    @staticmethod
    def _published(chunk: Chunk) -> list[str]:
        oldest = time.time() - _MAX_AGE_SECONDS
        parts = {
            change.part_id: None
            for change in chunk.entries
            if change.part_id
            and change.commit_time.seconds >= oldest
            and change.HasField("after")
            and change.after.status == part_pb2.PART_STATUS_PUBLISHED
            and not change.after.HasField("delete_time")
        }
        return list(parts)
