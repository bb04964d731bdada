"""Publication of parts: a follower of the content service stores which parts are published.

The leader among the processes follows; every process reads the table. While the content service is unavailable, the
table stays as it is. Before a public call is rejected for an unpublished part, the content service is queried once, so
that a part can be sold right after its publication, whatever the lag of the follower.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import grpc

from changelog import cursor as cursors
from changelog.follower import Follower
from changelog.sources import PartSource
from changelog.visibility import is_published
from chassis.background import Backoff
from chassis.errors import RevisionNotYetServed
from chassis.store_errors import STORE_FAILURES, translated
from inventory_svc.store.visibility import LOG
from partstream.content.v1 import part_service_pb2
from partstream.content.v1.part_service_pb2_grpc import ContentServiceStub

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence

    from changelog.follower import ChangeBatch
    from inventory_svc.store.visibility import VisibilityStore
    from partstream.content.v1.part_change_pb2 import PartChange
    from partstream.content.v1.part_pb2 import Part

log = logging.getLogger(__name__)

PUBLICATION_LOCK: Final = (7301, 21)
WAIT_SECONDS: Final = 0.25  # for the follower to reach the revision of a caller's token
QUERY_SECONDS: Final = 0.5  # timeout of a query of parts at the content service
QUIET_SECONDS: Final = 1.0  # after a failed query: public calls use the table only
MAX_QUERIED: Final = 1000  # parts of one call, the maximum of the contract
_POLL_SECONDS: Final = 0.01


class PublicationSink:
    """Applies the content log to the table of published parts."""

    def __init__(self, store: VisibilityStore) -> None:
        """Write to ``store``."""
        self._store = store

    async def position(self) -> str | None:
        """Return the cursor of the table; ``None`` before its first snapshot."""
        with _store_errors():
            position = await self._store.position()
        return None if position is None else cursors.encode(position)

    async def reset(self, cursor: str, pages: AsyncIterator[Sequence[Part]]) -> None:
        """Replace the table by a snapshot."""

        async def published() -> AsyncIterator[Mapping[str, bool]]:
            async for page in pages:
                yield {part.part_id: is_published(part) for part in page}

        with _store_errors():
            await self._store.replace(published(), cursors.decode(cursor)[LOG])
        log.info("published parts replaced by a snapshot of the content service")

    async def apply(self, batch: ChangeBatch) -> None:
        """Apply the changes of parts of a batch; changes of categories move the position only."""
        changes = {change.revision: _known(change) for change in batch.changes}
        with _store_errors():
            await self._store.apply(changes, cursors.decode(batch.cursor)[LOG])


class PublishedParts:
    """Published parts, which public calls check before they return or reserve stock."""

    def __init__(self, store: VisibilityStore, channel: grpc.aio.Channel | None) -> None:
        """Use the table, and the content service when there is a channel to it."""
        self._store = store
        self._channel = channel
        self._content: Any = None if channel is None else ContentServiceStub(channel)
        self._quiet_until = 0.0

    async def follow(self) -> None:
        """Apply the content log to the table until cancelled. Only the leader calls it."""
        if self._channel is None:
            return
        follower = Follower(PartSource(self._channel), PublicationSink(self._store), backoff=Backoff(0.1, 2.0))
        await follower.run()

    async def hides(self, part_ids: Collection[str]) -> frozenset[str]:
        """Return those of the parts that are not published."""
        return frozenset(part_ids) - await self._store.published(part_ids)

    async def learn(self, part_ids: Collection[str]) -> frozenset[str]:
        """Return those of the parts that are published, after a query of the others at the content service.

        Call it before a public call is rejected: the follower may not have applied the publication yet. When the
        content service is unavailable, only the table counts.
        """
        unpublished = iter(sorted(await self.hides(part_ids)))
        while self._content is not None and time.monotonic() >= self._quiet_until:
            queried = list(islice(unpublished, MAX_QUERIED))
            if not queried:
                break
            try:
                await self._query(queried)
            except grpc.aio.AioRpcError as error:
                self._quiet_until = time.monotonic() + QUIET_SECONDS
                log.info("content service unavailable, table of published parts used code=%s", error.code().name)
        return await self._store.published(part_ids)

    async def _query(self, part_ids: list[str]) -> None:
        request = part_service_pb2.BatchGetPartsRequest(part_ids=part_ids)
        response = await self._content.BatchGetParts(request, timeout=QUERY_SECONDS)
        found = {part.part_id: True for part in response.parts if is_published(part)}
        here, position = await self._store.position(), cursors.position_in(response.revision_token, LOG)
        # A revision is comparable within one epoch only, and the first snapshot sets the epoch of the table.
        if found and here is not None and position is not None and here.epoch == position.epoch:
            await self._store.upsert(found, position.revision)

    async def wait_for(self, token: str) -> None:
        """Return once the revision of a token is applied. Raise ``RevisionNotYetServed`` after a timeout."""
        required = cursors.position_in(token, LOG) if token and self._content is not None else None
        if required is None:
            return
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            here = await self._store.position()
            if here is not None and here.epoch == required.epoch and here.revision >= required.revision:
                return
            if time.monotonic() >= deadline:
                message = "This server has not yet applied the requested revision. Retry."
                raise RevisionNotYetServed(message, retry_after_seconds=0.25)
            await asyncio.sleep(_POLL_SECONDS)


def _known(change: PartChange) -> dict[str, bool]:
    if not change.part_id:
        return {}
    return {change.part_id: change.HasField("after") and is_published(change.after)}


@contextmanager
def _store_errors() -> Iterator[None]:
    try:
        yield
    except STORE_FAILURES as error:
        known = translated(error)
        if known is None:
            raise
        raise known from error
