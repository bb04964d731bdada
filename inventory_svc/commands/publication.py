"""Following the content service for one fact: which parts are published.

One process of all follows, elected by a lock; every process reads the table. While the content service is unavailable
what was known last holds. A part that is not known as published is asked for once more before a public call is
refused, so that publishing a part and selling it right after does not depend on how far the follower is.
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
WAIT_SECONDS: Final = 0.25  # for the follower to reach the revision that a caller brings
ASK_SECONDS: Final = 0.5  # for the content service to say what it knows of parts
QUIET_SECONDS: Final = 1.0  # after it did not, public calls are served from what is known
MOST_ASKED: Final = 1000  # parts of one call, by its contract
_POLL_SECONDS: Final = 0.01


class PublicationSink:
    """Feeds the table from the content log."""

    def __init__(self, store: VisibilityStore) -> None:
        """Write to ``store``."""
        self._store = store

    async def position(self) -> str | None:
        """Where the table stands; ``None`` before its first snapshot."""
        with _store_errors():
            position = await self._store.position()
        return None if position is None else cursors.encode(position)

    async def reset(self, cursor: str, pages: AsyncIterator[Sequence[Part]]) -> None:
        """Replace the table."""

        async def known() -> AsyncIterator[Mapping[str, bool]]:
            async for page in pages:
                yield {part.part_id: is_published(part) for part in page}

        with _store_errors():
            await self._store.replace(known(), cursors.decode(cursor)[LOG])
        log.info("published parts read from a snapshot of the content service")

    async def apply(self, batch: ChangeBatch) -> None:
        """Apply what the batch says of parts; changes of categories move the position only."""
        changes = {change.revision: _known(change) for change in batch.changes}
        with _store_errors():
            await self._store.apply(changes, cursors.decode(batch.cursor)[LOG])


class PublishedParts:
    """What public calls ask before they show or hold stock."""

    def __init__(self, store: VisibilityStore, channel: grpc.aio.Channel | None) -> None:
        """Without a channel to the content service the table is all there is."""
        self._store = store
        self._channel = channel
        self._content: Any = None if channel is None else ContentServiceStub(channel)
        self._quiet_until = 0.0

    async def follow(self) -> None:
        """Keep the table until cancelled. For the one process that is elected."""
        if self._channel is None:
            return
        follower = Follower(PartSource(self._channel), PublicationSink(self._store), backoff=Backoff(0.1, 2.0))
        await follower.run()

    async def hides(self, part_ids: Collection[str]) -> frozenset[str]:
        """Those among some parts that the public may not hear of."""
        return frozenset(part_ids) - await self._store.published(part_ids)

    async def learn(self, part_ids: Collection[str]) -> frozenset[str]:
        """Those among some parts that are published, after the content service was asked for the others.

        Call it when a public call missed them: what the follower has not applied yet must not refuse it. When the
        content service is unavailable, what was known last holds.
        """
        unsure = iter(sorted(await self.hides(part_ids)))
        while self._content is not None and time.monotonic() >= self._quiet_until:
            asked = list(islice(unsure, MOST_ASKED))
            if not asked:
                break
            try:
                await self._ask(asked)
            except grpc.aio.AioRpcError as error:
                self._quiet_until = time.monotonic() + QUIET_SECONDS
                log.info("content service unavailable, last known published parts are used: %s", error.code().name)
        return await self._store.published(part_ids)

    async def _ask(self, part_ids: list[str]) -> None:
        request = part_service_pb2.BatchGetPartsRequest(part_ids=part_ids)
        response = await self._content.BatchGetParts(request, timeout=ASK_SECONDS)
        found = {part.part_id: True for part in response.parts if is_published(part)}
        here, position = await self._store.position(), cursors.position_in(response.revision_token, LOG)
        # Before the first snapshot, and between two epochs, a revision of one history would stand in another.
        if found and here is not None and position is not None and here.epoch == position.epoch:
            await self._store.upsert(found, position.revision)

    async def wait_for(self, token: str) -> None:
        """Return once what the token stands for is applied; ``RevisionNotYetServed`` when that takes too long."""
        wanted = cursors.position_in(token, LOG) if token and self._content is not None else None
        if wanted is None:
            return
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            here = await self._store.position()
            if here is not None and here.epoch == wanted.epoch and here.revision >= wanted.revision:
                return
            if time.monotonic() >= deadline:
                message = "This server has not yet applied the revision asked for."
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
