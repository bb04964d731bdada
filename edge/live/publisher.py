"""The hub: receives both logs, in order, and offers every change to the clients that subscribe to it."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from changelog import cursor as cursors
from chassis.errors import CursorMalformed, PartstreamError
from edge import metrics
from edge.cache import keys
from edge.live.catch_up import CatchUp, LogAccess, categories_of, stock_of_published
from edge.live.change_history import Ring
from edge.live.client_state import SubscriptionIndex
from edge.live.errors import Rejected, Restarting, ResyncNeeded
from edge.live.events import ContentEvent, StockEvent
from edge.live.fair_scheduling import SnapshotQueue
from edge.live.outbox import Slot
from edge.live.protocol import ErrorFrame, SubscribedFrame, Subscription, encode
from edge.live.recovery import Backlog, is_logged, made_public, missed_changes, newest_states
from edge.live.snapshot import SnapshotRequest, fill_snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping

    from changelog.follower import ChangeBatch
    from edge.cache.follow import CategoryTree
    from edge.live.change_history import LogPages
    from edge.live.client_state import ClientState
    from edge.live.events import Event
    from edge.live.part_states import PartStates
    from edge.live.protocol import Subscribe
    from partstream.content.v1 import part_change_pb2
    from partstream.inventory.v1 import stock_change_pb2

BEGIN_SECONDS: Final = 5.0  # to wait for the first message of both logs after a start
AHEAD_SECONDS: Final = 1.0  # to wait for what a client has received through another edge
SHOWN_SECONDS: Final = 5.0  # the followers have reached by then what a read showed ahead of them
CONTENT_EVENT_BYTES: Final = 300
MAX_REPLAYED: Final = 5_000  # missed changes of mode `all` that are prepared in memory; more are read in pages
LEAVE_SECONDS: Final = 2.0  # for sockets to send their close


class EventPublisher:
    """State shared by all live connections. Runs in one event loop; publishing a change never waits."""

    def __init__(
        self, states: PartStates, tree: CategoryTree, ring: Ring | None = None, pages: LogPages | None = None
    ) -> None:
        """Start without positions; the followers set them. ``pages`` are for changes that the ring has evicted."""
        self._states = states
        self._tree = tree
        self._ring = Ring() if ring is None else ring
        self._access = LogAccess(self._ring, states, tree, pages)
        self._index = SubscriptionIndex()
        self._positions: dict[str, cursors.Position] = {}
        self._moved = asyncio.Event()
        self._clients: set[ClientState] = set()
        self._snapshots: set[asyncio.Task[None]] = set()
        self._snapshot_queue = SnapshotQueue()
        self._emptied = asyncio.Event()
        self.closing = False

    @property
    def cursor(self) -> str:
        """Return the cursor up to which everything was published; empty before both logs have a position."""
        return cursors.encode(*self._here) if self._has_both_logs else ""

    @property
    def clients(self) -> int:
        """Return the number of connected clients."""
        return len(self._clients)

    def enter(self, client: ClientState) -> None:
        """Register a client; raise ``Restarting`` during shutdown."""
        if self.closing:
            raise Restarting
        self._clients.add(client)
        client.outbox.start_catch_up = partial(self._start_catch_up, client)
        metrics.LIVE_SOCKETS.set(len(self._clients))

    def unsubscribe_all(self, client: ClientState) -> None:
        """End all subscriptions of a client."""
        for subscription_id in list(client.subscriptions):
            self.unsubscribe(client, subscription_id)

    def leave(self, client: ClientState) -> None:
        """Remove a client."""
        self.unsubscribe_all(client)
        self._clients.discard(client)
        client.outbox.drop()
        metrics.LIVE_SOCKETS.set(len(self._clients))
        if not self._clients:
            self._emptied.set()

    async def close(self) -> None:
        """Close every client with 1012 and wait until they have disconnected, within a bound."""
        self.closing = True
        self._emptied.clear()
        for client in list(self._clients):
            client.outbox.close(Restarting())
        if self._clients:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._emptied.wait(), LEAVE_SECONDS)
        for task in list(self._snapshots):
            task.cancel()

    def begin(self, position: cursors.Position) -> None:
        """Publish from this position on. Clients may hold state of an earlier epoch: they must resync."""
        if position.log in self._positions:
            self._states.clear()
            for client in list(self._clients):
                client.outbox.close(ResyncNeeded())
        self._ring.begin(position)
        self._move(position)

    def publish(self, log: str, batch: ChangeBatch) -> None:
        """Publish the changes of a batch."""
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

    async def subscribe(self, client: ClientState, wanted: Subscribe) -> None:
        """Start a subscription; the response and all events come through the client's outbox. Raise ``Rejected``."""
        since = self._decode(wanted.cursor)
        if not await self._reached({}, BEGIN_SECONDS):
            raise Rejected("STORE_UNAVAILABLE", "This server is not connected to the services yet: try again.")
        is_behind = since is not None and not await self._reached(since, AHEAD_SECONDS)
        may_catch_up = (
            wanted.mode == "all"
            and since is not None
            and not is_behind
            and await is_logged(self._access, since, self._positions)
        )
        subscription = Subscription(
            wanted.id, frozenset(wanted.parts), frozenset(wanted.categories), wanted.mode == "all"
        )
        client.require_capacity(subscription)
        self.unsubscribe(client, wanted.id)
        # Nothing is awaited from here to the end: position, registration and response are atomic.
        self._register(client, subscription)
        backlog: Backlog | CatchUp | None = None
        if since is not None and not is_behind and self._is_covered(since):
            backlog = self._backlog(client, subscription, since)
        elif since is not None and may_catch_up:
            backlog = self._catch_up(client, subscription, since)
        if backlog is None:
            self._send_snapshot(client, subscription, list(dict.fromkeys(wanted.parts)), self._ahead(since or {}))
            return
        client.outbox.put(encode(SubscribedFrame(wanted.id, wanted.cursor, recovered=True, parts=[])))
        if isinstance(backlog, CatchUp) or subscription.every_event:
            client.outbox.put_backlog(backlog)
            return
        while (event := backlog.take()) is not None:
            client.offer(event)
            if isinstance(event, ContentEvent):
                self._offer_stock_of_published(event, {client})

    def missed(self, cursor: str) -> int:
        """Return how many changes a client with this cursor missed at most: the cost of finding them."""
        try:
            since = cursors.decode(cursor)
        except CursorMalformed:
            return 0
        behind = (here.revision - since[log].revision for log, here in self._positions.items() if log in since)
        return min(len(self._ring), sum(max(0, revisions) for revisions in behind))

    def unsubscribe(self, client: ClientState, subscription_id: str) -> bool:
        """End a subscription; return whether there was one."""
        subscription = client.remove(subscription_id)
        if subscription is None:
            return False
        self._index.remove(client, subscription)
        metrics.LIVE_SUBSCRIPTIONS.dec()
        for part_id in subscription.parts:
            self._states.unwatch(part_id)
        return True

    async def resolve(self, *events: StockEvent) -> None:
        """Return once stock and category of these events are known."""
        for event in events:
            event.state = self._states.keep(event.state)
        await self._states.ensure([event.state for event in events])

    def _backlog(
        self, client: ClientState, subscription: Subscription, since: dict[str, cursors.Position]
    ) -> Backlog | CatchUp | None:
        """Return what the client missed, or ``None`` when only a snapshot helps."""
        missed = missed_changes(self._ring, since, subscription, self._states, self._tree)
        if subscription.every_event and (missed is None or len(missed) > MAX_REPLAYED):
            return self._catch_up(client, subscription, since)
        become_public = 0 if missed is None or client.is_stock_staff else made_public(missed)
        if become_public and subscription.every_event:
            return None  # stock changes before the publication of a part are not public
        if missed is not None and not subscription.every_event:
            missed = newest_states(missed)
            # Half of the bound: a client that gets the other half before taking any would otherwise loop.
            known = len({(entry.log, entry.change.part_id) for entry in missed}) + become_public
            if known > client.outbox.limits.pending_parts // 2:
                return None
        if missed is None:
            return None
        later = None if self._access.pages is None else partial(self._catch_up, client, subscription)
        return Backlog(self._ring, missed, since, self._states, later)

    def _catch_up(
        self, client: ClientState, subscription: Subscription, since: Mapping[str, cursors.Position]
    ) -> CatchUp:
        """Return what one subscription missed, up to now."""
        parts, categories = subscription.parts, subscription.categories
        missed = CatchUp(self._access, client, since, lambda: (parts, categories))
        missed.close()
        return missed

    def _start_catch_up(self, client: ClientState, event: Event) -> CatchUp:
        """Return everything that a client subscribes to, from an event on."""
        # One entry back in both logs: the event may be the stock sent with a part that was published.
        before = {
            position.log: replace(position, revision=max(0, position.revision - 1)) for position in event.positions
        }
        return CatchUp(self._access, client, before, lambda: (client.parts, client.categories))

    def _register(self, client: ClientState, subscription: Subscription) -> None:
        client.add(subscription)
        self._index.add(client, subscription)
        metrics.LIVE_SUBSCRIPTIONS.inc()
        for part_id in subscription.parts:
            self._states.watch(part_id)

    def _send_snapshot(self, client: ClientState, subscription: Subscription, named: list[str], min_token: str) -> None:
        """Fix the position, then read the state: events that the state includes already are dropped."""
        slot = Slot()
        client.outbox.put(slot)
        request = SnapshotRequest(subscription, named, self.cursor, min_token)
        task = asyncio.ensure_future(self._fill_snapshot(client, request, slot))
        self._snapshots.add(task)
        task.add_done_callback(self._snapshots.discard)

    async def _fill_snapshot(self, client: ClientState, wanted: SnapshotRequest, slot: Slot) -> None:
        subscription = wanted.subscription
        try:
            await fill_snapshot(client, self._states, wanted, slot, self._snapshot_queue)
        except (PartstreamError, TimeoutError) as error:
            reason = getattr(error, "reason", "") or "DEADLINE"
            if client.subscriptions.get(subscription.id) is subscription:
                self.unsubscribe(client, subscription.id)
            slot.end(encode(ErrorFrame(reason, "The state could not be read: subscribe again.", subscription.id)))
        else:
            if subscription.categories:
                asyncio.get_running_loop().call_later(SHOWN_SECONDS, self._forget_shown, client)

    def _forget_shown(self, client: ClientState) -> None:
        """Every read of a snapshot was less than this ahead of the logs."""
        client.forget_shown_after(dict(self._positions))

    def _publish_stock(self, change: stock_change_pb2.StockChange) -> None:
        if not change.part_id:
            return
        here = self._here
        entry = self._ring.add(keys.INVENTORY, change.revision, here, change, change.ByteSize())
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
        event.was_public = state.is_public if state.category_id is not None else None
        self._ring.keep(entry, event)
        self._states.follow_stock(event)
        clients = direct
        if self._index.has_categories:
            by_category = (
                self._index.of_any_category()  # decided before it is sent, when the category is known
                if state.category_id is None
                else self._index.of_categories(self._tree.upwards(state.category_id))
            )
            clients = direct | by_category
        self._offer(event, clients)

    def _publish_content(self, change: part_change_pb2.PartChange) -> None:
        if not change.part_id:
            return
        event = ContentEvent(change, self._here, categories_of(change, self._tree))
        entry = self._ring.add(keys.CONTENT, change.revision, self._here, event, CONTENT_EVENT_BYTES)
        entry.event = event
        self._states.follow_content(change)
        clients = self._index.of_part(change.part_id)
        if self._index.has_categories:
            clients = clients | self._index.of_categories(event.categories)
        self._offer(event, clients)
        self._offer_stock_of_published(event, clients)

    def _offer_stock_of_published(self, event: ContentEvent, clients: set[ClientState]) -> None:
        """Offer the current stock of a published part to public clients, which do not have it yet."""
        if event.public_operation != "created":
            return
        known = self._states.get(event.part_id)
        for earlier in () if known is None else known.waiting:
            earlier.was_public = False
        public = {client for client in clients if not client.is_stock_staff}
        if not public:
            return
        self._offer(stock_of_published(event, self._states, self._positions[keys.INVENTORY].revision), public)

    @staticmethod
    def _offer(event: StockEvent | ContentEvent, clients: set[ClientState]) -> None:
        if clients:
            metrics.LIVE_EVENTS.labels(event.kind).inc()
            for client in clients:
                client.offer(event)

    @property
    def _has_both_logs(self) -> bool:
        return len(self._positions) == len(keys.LOGS)

    @property
    def _here(self) -> tuple[cursors.Position, ...]:
        return tuple(self._positions.values())

    def _move(self, position: cursors.Position) -> None:
        self._positions[position.log] = position
        self._moved.set()

    def _is_covered(self, since: dict[str, cursors.Position]) -> bool:
        return all(
            log in since and since[log].epoch == here.epoch and self._ring.covers(since[log])
            for log, here in self._positions.items()
        )

    async def _reached(self, wanted: dict[str, cursors.Position], seconds: float) -> bool:
        """Return whether both logs have a position and every given one was published within the time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._has(wanted):
                    self._moved.clear()
                    await self._moved.wait()
        return self._has(wanted)

    def _has(self, wanted: dict[str, cursors.Position]) -> bool:
        if not self._has_both_logs:
            return False
        here = self._positions
        return all(
            log not in here or here[log].epoch != position.epoch or here[log].revision >= position.revision
            for log, position in wanted.items()
        )

    def _ahead(self, since: dict[str, cursors.Position]) -> str:
        """Return a token of what a client received beyond this process: it must not be shown less."""
        here = self._positions
        ahead = [
            position
            for log, position in since.items()
            if log in here and here[log].epoch == position.epoch and here[log].revision < position.revision
        ]
        return cursors.encode(*ahead) if ahead else ""

    @staticmethod
    def _decode(cursor: str) -> dict[str, cursors.Position] | None:
        try:
            return cursors.decode(cursor) or None
        except CursorMalformed as error:
            raise Rejected(error.reason, error.message) from None
