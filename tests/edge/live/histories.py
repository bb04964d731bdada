"""A small truth behind a publisher: stocks and parts changed one revision at a time."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from changelog import cursor as cursors
from changelog.cursor import Position
from changelog.follower import ChangeBatch
from changelog.visibility import is_published
from chassis.caller import ANONYMOUS, Caller
from edge.cache import keys
from edge.cache.follow import CategoryTree
from edge.cache.manager import CacheResult
from edge.cache.values import Absent, Listing
from edge.live.catch_up import Preparation
from edge.live.change_history import LogPages, Ring
from edge.live.client_state import ClientState
from edge.live.events import StockEvent
from edge.live.limits import LiveLimits
from edge.live.outbox import Item, Slot
from edge.live.part_states import PartStates
from edge.live.protocol import Subscribe
from edge.live.publisher import EventPublisher
from partstream.changes.v1 import origin_pb2
from partstream.content.v1 import part_change_pb2, part_pb2
from partstream.inventory.v1 import stock_change_pb2
from tests.edge.cache.histories import Truth

STAFF = Caller("1", "ann", permissions=frozenset({"stock:read", "content:read"}))


class Shop:
    """Two logs, a publisher that follows them on request, and reads of the current state."""

    def __init__(
        self, ring: Ring | None = None, limits: LiveLimits | None = None, pages: LogPages | None = None
    ) -> None:
        self.stock = Truth()
        self.parts: dict[str, part_pb2.Part] = {}
        self.content_log: list[part_change_pb2.PartChange] = []
        self.epochs = {log: uuid.uuid4() for log in keys.LOGS}
        self.published = dict.fromkeys(keys.LOGS, 0)
        self.tree = CategoryTree()
        self.limits = limits or LiveLimits()
        self.publisher = EventPublisher(PartStates(Reads(self)), self.tree, ring, pages)
        self.reads = 0

    def begin(self) -> None:
        for log in keys.LOGS:
            self.publisher.publish(log, ChangeBatch(self.cursor(log, self.published[log]), [], fragment=False))

    def cursor(self, log: str, revision: int) -> str:
        return cursors.encode(Position(log, self.epochs[log], revision))

    def move(self, part_id: str, location_id: str = "main") -> stock_change_pb2.StockChange:
        """Commit a movement without publishing it."""
        before = self.stock.levels.get((part_id, location_id))
        change = self.stock.commit(part_id, location_id)
        if before is not None:
            change.before.CopyFrom(before)
        return change

    def write(self, part_id: str, **values: Any) -> None:
        """Commit new content without publishing it."""
        before = self.parts.get(part_id)
        after = part_pb2.Part()
        if before is not None:
            after.CopyFrom(before)
        after.MergeFrom(part_pb2.Part(part_id=part_id, **values))
        after.version += 1
        change = part_change_pb2.PartChange(
            revision=len(self.content_log) + 1,
            part_id=part_id,
            version=after.version,
            operation=origin_pb2.OPERATION_UPDATED if before is not None else origin_pb2.OPERATION_CREATED,
            before=before,
            after=after,
            changed_fields=sorted(values),
            entity="part",
            entity_id=part_id,
        )
        self.parts[part_id] = after
        self.content_log.append(change)

    def rename(self, before: part_pb2.Category, after: part_pb2.Category) -> None:
        """Commit another name or parent of a category without publishing it."""
        self.content_log.append(
            part_change_pb2.PartChange(
                revision=len(self.content_log) + 1,
                operation=origin_pb2.OPERATION_UPDATED,
                entity="category",
                entity_id=after.category_id,
                category=part_change_pb2.CategoryChange(before=before, after=after),
            )
        )

    def tell(self, log: str = keys.INVENTORY, count: int | None = None) -> None:
        """Publish what was committed, or only so many."""
        entries: list[Any] = self.stock.log if log == keys.INVENTORY else self.content_log
        after = self.published[log]
        until = len(entries) if count is None else min(len(entries), after + count)
        batch = ChangeBatch(self.cursor(log, until), entries[after:until], fragment=False)
        self.publisher.publish(log, batch)
        self.published[log] = until

    def enter(self, caller: Caller = ANONYMOUS) -> ClientState:
        session = ClientState(self.limits, self.tree, caller)
        self.publisher.enter(session)
        return session


def last_serial(ring: Ring | None = None) -> Shop:
    shop = Shop(ring)
    shop.begin()
    return shop


class Reads:
    """What states are read from: the present of a shop."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop

    async def stocks(self, part_ids: Sequence[str], min_token: str = "") -> Mapping[str, CacheResult]:
        self._shop.reads += 1
        stock = self._shop.stock
        return {part_id: CacheResult(stock.read(part_id), stock.head, "source") for part_id in part_ids}

    async def parts(self, part_ids: Sequence[str], min_token: str = "") -> Mapping[str, CacheResult]:
        return {part_id: CacheResult(self._part(part_id), 0, "source") for part_id in part_ids}

    async def category_page(self, category_id: str, page_token: str, min_token: str = "") -> Listing:
        """Three parts a page, as public clients get them."""
        tree = self._shop.tree
        inside = (part for part in self._shop.parts.values() if category_id in tree.upwards(part.category_id))
        found = sorted(part.part_id for part in inside if is_published(part) and part.part_id > page_token)
        return Listing(tuple(found[:3]), found[2] if len(found) > 3 else "")

    def _part(self, part_id: str) -> part_pb2.Part | Absent:
        """The public content. A part without content counts as published in no category."""
        part = self._shop.parts.get(part_id)
        if part is None:
            return part_pb2.Part(part_id=part_id, status=part_pb2.PART_STATUS_PUBLISHED)
        return part if is_published(part) else Absent()


async def subscribe(shop: Shop, session: ClientState, *part_ids: str, **options: Any) -> None:
    await shop.publisher.subscribe(session, Subscribe(options.pop("id", "s1"), list(part_ids), **options))


async def sent(shop: Shop, session: ClientState) -> list[dict[str, Any]]:
    """Everything that waits, as the client would get it."""
    frames: list[dict[str, Any]] = []
    while (item := session.outbox.take()) is not None:
        text = await _text(shop, session, item)
        if text is not None:
            frames.append(msgspec.json.decode(text))
    return frames


async def one_sent(shop: Shop, session: ClientState) -> dict[str, Any] | None:
    """The next that waits, as the client would get it; ``None`` if it gets none."""
    item = session.outbox.take()
    text = await _text(shop, session, item) if item is not None else None
    frame: dict[str, Any] | None = msgspec.json.decode(text) if text is not None else None
    return frame


async def _text(shop: Shop, session: ClientState, item: Item) -> str | None:
    if isinstance(item, Preparation):
        await item.run()
        return None
    if isinstance(item, Slot):
        return await item.frame()
    if isinstance(item, str):
        return item
    if isinstance(item, StockEvent):
        await shop.publisher.resolve(item)
    return session.render(item)
