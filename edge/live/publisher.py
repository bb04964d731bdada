"""The hub: takes in both logs, in order, and hands every change to the sessions that listen to it."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from chassis.changes import cursor as cursors
from chassis.errors import CursorMalformed, PartstreamError
from edge import metrics
from edge.cache import keys
from edge.live.backlog import Backlog
from edge.live.errors import Refused, Restarting, ResyncNeeded
from edge.live.events import ContentEvent, StockEvent
from edge.live.outbox import Slot
from edge.live.protocol import ErrorFrame, SubscribedFrame, encode
from edge.live.recovery import missed_changes, newest_states
from edge.live.ring import Ring
from edge.live.session import Subscription
from edge.live.snapshot import snapshot_parts
from edge.live.snapshot_queue import PARTS_A_SLICE, SnapshotQueue
from edge.live.subscriptions import SubscriptionIndex
from partstream.inventory.v1 import stock_change_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from chassis.changes.follower import ChangeBatch
    from edge.cache.category_tree import CategoryTree
    from edge.live.part_states import PartStates
    from edge.live.protocol import Subscribe
    from edge.live.ring import Published
    from edge.live.session import Session
    from partstream.content.v1 import part_change_pb2

BEGIN_SECONDS: Final = 5.0  # to wait for the first message of both logs after a start
AHEAD_SECONDS: Final = 1.0  # to wait for what a client has seen through another edge
SNAPSHOT_SECONDS: Final = 10.0
CONTENT_EVENT_BYTES: Final = 300
LEAVE_SECONDS: Final = 2.0  # for sockets to take in their close


class EventPublisher:
    """Everything that sockets share. Runs in one event loop; nothing here waits while a change is published."""

    def __init__(self, states: PartStates, tree: CategoryTree, ring: Ring | None = None) -> None:
        """Begin without positions; the followers give them."""
        self._states = states
        self._tree = tree
        self._ring = Ring() if ring is None else ring
        self._index = SubscriptionIndex()
        self._positions: dict[str, cursors.Position] = {}
        self._moved = asyncio.Event()
        self._sessions: set[Session] = set()
        self._snapshots = SnapshotQueue()
        self._emptied = asyncio.Event()
        self.closing = False

    @property
    def cursor(self) -> str:
        """Everything up to here was published; empty before both logs have spoken."""
        return cursors.encode(*self._here) if self._is_begun else ""

    @property
    def sessions(self) -> int:
        """Open sessions."""
        return len(self._sessions)

    def sink(self, log: str) -> LiveSink:
        """What the follower of a log feeds."""
        return LiveSink(self, log)

    def enter(self, session: Session) -> None:
        """A client has come; ``Restarting`` when it comes too late."""
        if self.closing:
            raise Restarting
        self._sessions.add(session)
        metrics.LIVE_SOCKETS.set(len(self._sessions))

    def silence(self, session: Session) -> None:
        """A client gets no more events."""
        for subscription_id in list(session.subscriptions):
            self.unsubscribe(session, subscription_id)

    def leave(self, session: Session) -> None:
        """A client has gone."""
        self.silence(session)
        self._sessions.discard(session)
        metrics.LIVE_SOCKETS.set(len(self._sessions))
        if not self._sessions:
            self._emptied.set()

    async def close(self) -> None:
        """End every session with 1012 and wait a moment until they are gone."""
        self.closing = True
        self._emptied.clear()
        for session in list(self._sessions):
            session.outbox.close(Restarting())
        if self._sessions:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._emptied.wait(), LEAVE_SECONDS)
        self._snapshots.close()

    def begin(self, position: cursors.Position) -> None:
        """Publish from here on. What clients have of an earlier history may be wrong: they must come again."""
        if position.log in self._positions:
            self._states.clear()
            for session in list(self._sessions):
                session.outbox.close(ResyncNeeded())
        self._ring.begin(position)
        self._move(position)

    def publish(self, log: str, batch: ChangeBatch) -> None:
        """Hand the changes of a batch to whoever listens."""
        position = cursors.decode(batch.cursor)[log]
        known = self._positions.get(log)
        if known is None or known.epoch != position.epoch:
            self.begin(position)
            return
        for change in batch.changes:
            if change.revision <= known.revision:
                continue
            self._positions[log] = cursors.Position(log, position.epoch, change.revision)
            if log == keys.INVENTORY:
                self._publish_stock(change)
            else:
                self._publish_content(change)
        self._move(position)

    async def subscribe(self, session: Session, wanted: Subscribe) -> None:
        """Begin a subscription; its answer and all that follows come through the session's outbox.

        ``Refused`` when it cannot be begun.
        """
        client = self._decode(wanted.cursor)
        if not await self._reached({}, BEGIN_SECONDS):
            raise Refused("STORE_UNAVAILABLE", "This server has not heard from the services yet: try again.")
        is_behind = client is not None and not await self._reached(client, AHEAD_SECONDS)
        subscription = Subscription(
            wanted.id, frozenset(wanted.parts), frozenset(wanted.categories), wanted.mode == "all"
        )
        session.require_room(subscription)
        self.unsubscribe(session, wanted.id)
        # From here to the end nothing is awaited: position, registration and answer belong to one moment.
        self._register(session, subscription)
        backlog = None
        if client is not None and not is_behind and self._is_covered(client):
            backlog = self._backlog(session, subscription, client)
        if backlog is None:
            self._begin_snapshot(session, subscription, list(dict.fromkeys(wanted.parts)), self._ahead(client or {}))
            return
        session.outbox.put(encode(SubscribedFrame(wanted.id, wanted.cursor, recovered=True, parts=[])))
        if subscription.every_event:
            session.outbox.put_backlog(backlog)
            return
        while (event := backlog.take()) is not None:
            session.offer(event)
            if isinstance(event, ContentEvent):
                self._offer_stock_of_published(event, {session})

    def missed(self, cursor: str) -> int:
        """Return how many changes a client with this cursor would have to be told at most: what finding them costs."""
        try:
            client = cursors.decode(cursor)
        except CursorMalformed:
            return 0
        behind = (here.revision - client[log].revision for log, here in self._positions.items() if log in client)
        return min(len(self._ring), sum(max(0, revisions) for revisions in behind))

    def unsubscribe(self, session: Session, subscription_id: str) -> bool:
        """End a subscription; whether there was one."""
        subscription = session.remove(subscription_id)
        if subscription is None:
            return False
        self._index.remove(session, subscription)
        metrics.LIVE_SUBSCRIPTIONS.dec()
        for part_id in subscription.parts:
            self._states.unwatch(part_id)
        return True

    async def resolve(self, event: StockEvent) -> None:
        """Return once the event's stock and category are known."""
        event.state = self._states.keep(event.state)
        await self._states.ensure([event.state])

    def _backlog(
        self, session: Session, subscription: Subscription, client: dict[str, cursors.Position]
    ) -> Backlog | None:
        """What the client missed, or ``None`` when only a snapshot helps."""
        missed = missed_changes(self._ring, client, subscription, self._states, self._tree)
        made_public = 0 if missed is None or session.sees_stock else _made_public(missed)
        if made_public and subscription.every_event:
            return None  # what happened to a part before it was published is not for the public
        if missed is not None and not subscription.every_event:
            missed = newest_states(missed)
            # Half of the bound: one who gets the other half before taking any would come back to the same.
            told = len({(entry.log, entry.change.part_id) for entry in missed}) + made_public
            if told > session.outbox.limits.pending_parts // 2:
                return None
        return None if missed is None else Backlog(self._ring, missed, client, self._states)

    def _register(self, session: Session, subscription: Subscription) -> None:
        session.add(subscription)
        self._index.add(session, subscription)
        metrics.LIVE_SUBSCRIPTIONS.inc()
        for part_id in subscription.parts:
            self._states.watch(part_id)

    def _begin_snapshot(
        self, session: Session, subscription: Subscription, part_ids: list[str], min_token: str
    ) -> None:
        """Position first, then state: what the state shows beyond the position comes as events, and is dropped then."""
        slot = Slot()
        session.outbox.put(slot)
        fill = partial(self._fill_snapshot, session, subscription, part_ids, slot, (self.cursor, min_token))
        self._snapshots.add(session.allowance.address, fill)

    async def _fill_snapshot(
        self,
        session: Session,
        subscription: Subscription,
        part_ids: list[str],
        slot: Slot,
        tokens: tuple[str, str],
    ) -> None:
        if session not in self._sessions:
            return  # its client has left
        cursor, min_token = tokens
        try:
            async with asyncio.timeout(SNAPSHOT_SECONDS):
                await self._states.ensure(self._states.obtain(part_id) for part_id in part_ids)
                if min_token:
                    await self._states.refresh(part_ids, min_token)
        except (PartstreamError, TimeoutError) as error:
            reason = getattr(error, "reason", "") or "DEADLINE"
            self.unsubscribe(session, subscription.id)
            slot.fill(encode(ErrorFrame(reason, "The state could not be read: subscribe again.", subscription.id)))
            return
        async with self._snapshots.slicing:
            frame = SubscribedFrame(subscription.id, cursor, recovered=False, parts=[])
            for start in range(0, len(part_ids), PARTS_A_SLICE):
                frame.parts += snapshot_parts(session, self._states, part_ids[start : start + PARTS_A_SLICE])
                await asyncio.sleep(0)
            slot.fill(encode(frame))

    def _publish_stock(self, change: stock_change_pb2.StockChange) -> None:
        if not change.part_id:
            return
        here = self._here
        self._ring.add(keys.INVENTORY, change.revision, here, change, change.ByteSize())
        direct = self._index.of_part(change.part_id)
        state = self._states.get(change.part_id)
        if state is None:
            if not direct and not self._index.has_categories:
                return
            state = self._states.obtain(change.part_id)
        elif state.stock is None and not direct and not self._index.has_categories:
            self._states.forget(change.part_id)
            return
        event = StockEvent(change, state, here)
        self._states.follow_stock(event)
        sessions = direct
        if self._index.has_categories:
            by_category = (
                self._index.of_any_category()  # told apart before it is sent
                if state.category_id is None
                else self._index.of_categories(self._tree.upwards(state.category_id))
            )
            sessions = direct | by_category
        self._offer(event, sessions)

    def _publish_content(self, change: part_change_pb2.PartChange) -> None:
        if not change.part_id:
            return
        categories: set[str] = set()
        for field in ("before", "after"):
            if change.HasField(field):
                categories.update(self._tree.upwards(getattr(change, field).category_id))
        event = ContentEvent(change, self._here, frozenset(categories))
        self._ring.add(keys.CONTENT, change.revision, self._here, event, CONTENT_EVENT_BYTES)
        self._states.follow_content(change)
        sessions = self._index.of_part(change.part_id)
        if self._index.has_categories:
            sessions = sessions | self._index.of_categories(categories)
        self._offer(event, sessions)
        self._offer_stock_of_published(event, sessions)

    def _offer_stock_of_published(self, event: ContentEvent, sessions: set[Session]) -> None:
        """The public has not heard of the stock of a part until now: tell what it is."""
        if event.public_operation != "created":
            return
        public = {session for session in sessions if not session.sees_stock}
        if not public:
            return
        state = self._states.obtain(event.part_id)
        here = self._positions[keys.INVENTORY]
        change = stock_change_pb2.StockChange(part_id=event.part_id, revision=here.revision)
        change.commit_time.FromJsonString(event.commit_time)
        stock = StockEvent(change, state, event.positions, state.stock)
        if state.stock is None:
            state.waiting.append(stock)
        self._offer(stock, public)

    @staticmethod
    def _offer(event: StockEvent | ContentEvent, sessions: set[Session]) -> None:
        if sessions:
            metrics.LIVE_EVENTS.labels(event.kind).inc()
            for session in sessions:
                session.offer(event)

    @property
    def _is_begun(self) -> bool:
        return len(self._positions) == len(keys.LOGS)

    @property
    def _here(self) -> tuple[cursors.Position, ...]:
        return tuple(self._positions.values())

    def _move(self, position: cursors.Position) -> None:
        self._positions[position.log] = position
        self._moved.set()

    def _is_covered(self, client: dict[str, cursors.Position]) -> bool:
        return all(
            log in client and client[log].epoch == here.epoch and self._ring.covers(client[log])
            for log, here in self._positions.items()
        )

    async def _reached(self, wanted: dict[str, cursors.Position], seconds: float) -> bool:
        """Whether both logs have begun and every position was published within the time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._has(wanted):
                    self._moved.clear()
                    await self._moved.wait()
        return self._has(wanted)

    def _has(self, wanted: dict[str, cursors.Position]) -> bool:
        if not self._is_begun:
            return False
        here = self._positions
        return all(
            log not in here or here[log].epoch != position.epoch or here[log].revision >= position.revision
            for log, position in wanted.items()
        )

    def _ahead(self, client: dict[str, cursors.Position]) -> str:
        """Token of what a client has seen beyond this process: it must not be shown less."""
        here = self._positions
        ahead = [
            position
            for log, position in client.items()
            if log in here and here[log].epoch == position.epoch and here[log].revision < position.revision
        ]
        return cursors.encode(*ahead) if ahead else ""

    @staticmethod
    def _decode(cursor: str) -> dict[str, cursors.Position] | None:
        try:
            return cursors.decode(cursor) or None
        except CursorMalformed as error:
            raise Refused(error.reason, error.message) from None


def _made_public(missed: Sequence[Published]) -> int:
    """How often a part became public meanwhile."""
    changes = [entry.change for entry in missed if isinstance(entry.change, ContentEvent)]
    return sum(change.public_operation == "created" for change in changes)


class LiveSink:
    """The end of one follower's chain of sinks."""

    def __init__(self, publisher: EventPublisher, log: str) -> None:
        """Feed the publisher with a log."""
        self._publisher = publisher
        self._log = log

    async def position(self) -> str:
        """From now on: nobody can be owed anything by a process that has just begun."""
        return ""

    async def reset(self, cursor: str, pages: AsyncIterator[Sequence[Any]]) -> None:  # noqa: ARG002
        """Begin anew; clients come again and take snapshots."""
        self._publisher.begin(cursors.decode(cursor)[self._log])

    async def apply(self, batch: ChangeBatch) -> None:
        """Publish."""
        self._publisher.publish(self._log, batch)
