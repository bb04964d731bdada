"""The state of connected clients, and the index of their subscriptions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from changelog.visibility import Group, can_read
from chassis.caller import ANONYMOUS, Caller
from edge.cache import keys
from edge.live.events import ContentEvent, Event, StockEvent
from edge.live.limits import AddressAllowance, WatchedParts
from edge.live.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from changelog.cursor import Position
    from edge.cache.follow import CategoryTree
    from edge.live.events import PartState
    from edge.live.fair_scheduling import FairScheduler
    from edge.live.limits import LiveLimits
    from edge.live.protocol import Subscription


class NameCounts(dict[str, int]):
    """Names, each with the number of subscriptions that contain it."""

    def add(self, names: Iterable[str]) -> None:
        """Count the names of a subscription."""
        for name in names:
            self[name] = self.get(name, 0) + 1

    def remove(self, names: Iterable[str]) -> None:
        """Discount the names of a subscription; a name without subscriptions is removed."""
        for name in names:
            if self[name] == 1:
                del self[name]
            else:
                self[name] -= 1

    def isdisjoint(self, names: Iterable[str]) -> bool:
        """Return whether no subscription has any of these names."""
        return self.keys().isdisjoint(names)


class ClientState:
    """The state of one connected client, without its socket."""

    def __init__(
        self,
        limits: LiveLimits,
        tree: CategoryTree,
        caller: Caller = ANONYMOUS,
        scheduler: FairScheduler | None = None,
        allowance: AddressAllowance | None = None,
    ) -> None:
        """Start without subscriptions; the connections of an address share ``allowance``."""
        self.caller = caller
        self.outbox = Outbox(limits, scheduler)
        self.allowance = AddressAllowance("", limits, WatchedParts(limits.parts)) if allowance is None else allowance
        self.subscriptions: dict[str, Subscription] = {}
        self.parts = NameCounts()
        self.categories = NameCounts()
        self._every_part = NameCounts()
        self._every_category = NameCounts()
        self._size = 0
        self._tree = tree
        self._shown: dict[tuple[str, str], int] = {}
        self._forget_after: Mapping[str, Position] | None = None

    @property
    def is_stock_staff(self) -> bool:
        """Return whether the client gets staff stock frames."""
        return can_read(self.caller, keys.INVENTORY, Group.STAFF)

    @property
    def is_content_staff(self) -> bool:
        """Return whether the client gets staff content frames."""
        return can_read(self.caller, keys.CONTENT, Group.STAFF)

    def require_capacity(self, subscription: Subscription) -> None:
        """Raise ``Rejected`` when the connection, or its address, would subscribe to too many parts."""
        replaced = self.subscriptions.get(subscription.id)
        more = subscription.size - (0 if replaced is None else replaced.size)
        self.allowance.require_capacity(more, self._size)

    def add(self, subscription: Subscription) -> None:
        """Add a subscription. Costs as much as it has names, whatever else is subscribed to."""
        self.allowance.watch(subscription.size)
        self._size += subscription.size
        self.subscriptions[subscription.id] = subscription
        for held, names in self._holders(subscription):
            held.add(names)

    def remove(self, subscription_id: str) -> Subscription | None:
        """Remove a subscription and return it."""
        subscription = self.subscriptions.pop(subscription_id, None)
        if subscription is None:
            return None
        self.allowance.watch(-subscription.size)
        self._size -= subscription.size
        for held, names in self._holders(subscription):
            held.remove(names)
        if subscription.categories and not self.categories:
            self._retain_shown(self.parts)
        elif self._shown and not self.categories:
            for part_id in subscription.parts:
                if part_id not in self.parts:
                    self._shown.pop(("stock", part_id), None)
                    self._shown.pop(("content", part_id), None)
        return subscription

    def may_view(self, state: PartState) -> bool:
        """Return whether the client may view the stock of a part whose content is known."""
        return state.is_public or self.is_stock_staff

    def _may_view_change(self, event: StockEvent) -> bool:
        """A part may be published while an event waits: changes before the publication are not public."""
        return self.is_stock_staff or (event.state.is_public and event.was_public is not False)

    def mark_shown(self, kind: str, part_id: str, version: int) -> None:
        """Record that a snapshot showed this version: events up to it are redundant."""
        self._shown[kind, part_id] = version

    def forget_shown_after(self, positions: Mapping[str, Position]) -> None:
        """Forget what category snapshots showed once an event after these positions is sent."""
        self._forget_after = positions

    def offer(self, event: Event) -> None:
        """Queue an event, to be sent or superseded."""
        if self._wants_every(event):
            self.outbox.put_every(event)
        else:
            self.outbox.put_latest(event)

    def render(self, event: Event) -> str | None:
        """Return the frame of an event whose state is known; ``None`` when this client must not get it."""
        if not self._listens_to(event) or (isinstance(event, StockEvent) and not self._may_view_change(event)):
            return None
        if self._forget_after is not None and _is_after(event, self._forget_after):
            self._forget_after = None
            self._retain_shown(self.parts)
        key = (event.kind, event.part_id)
        shown = self._shown.get(key)
        if shown is not None:
            if event.version <= shown:
                return None
            del self._shown[key]
        return event.frame(staff=self.is_content_staff if isinstance(event, ContentEvent) else self.is_stock_staff)

    def _wants_every(self, event: Event) -> bool:
        if event.part_id in self._every_part:
            return True
        if not self._every_category:
            return False
        if isinstance(event, StockEvent) and event.state.category_id is None:
            return True  # decided before it is sent, when the category is known
        return not self._every_category.isdisjoint(self._categories_of(event))

    def _listens_to(self, event: Event) -> bool:
        return event.part_id in self.parts or (
            bool(self.categories) and not self.categories.isdisjoint(self._categories_of(event))
        )

    def _categories_of(self, event: Event) -> frozenset[str]:
        if isinstance(event, StockEvent):
            return frozenset(self._tree.upwards(event.state.category_id or ""))
        return event.categories

    def _holders(self, subscription: Subscription) -> list[tuple[NameCounts, frozenset[str]]]:
        holders = [(self.parts, subscription.parts), (self.categories, subscription.categories)]
        if subscription.every_event:
            holders += [(self._every_part, subscription.parts), (self._every_category, subscription.categories)]
        return holders

    def _retain_shown(self, parts: Collection[str]) -> None:
        self._shown = {key: version for key, version in self._shown.items() if key[1] in parts}


def _is_after(event: Event, positions: Mapping[str, Position]) -> bool:
    return all(
        position.log in positions and position.revision >= positions[position.log].revision
        for position in event.positions
    )


class SubscriptionIndex:
    """Clients by part and by category: one look-up per event, however many connections there are."""

    def __init__(self) -> None:
        """Start without subscriptions."""
        self._parts: dict[str, set[ClientState]] = {}
        self._categories: dict[str, set[ClientState]] = {}

    @property
    def has_categories(self) -> bool:
        """Return whether any client subscribes to a category."""
        return bool(self._categories)

    def of_part(self, part_id: str) -> set[ClientState]:
        """Return the clients that subscribe to the part. Do not change the set."""
        return self._parts.get(part_id) or _NONE

    def of_categories(self, category_ids: Iterable[str]) -> set[ClientState]:
        """Return the clients that subscribe to one of these categories."""
        found: set[ClientState] = set()
        for category_id in category_ids:
            found |= self._categories.get(category_id, _NONE)
        return found

    def of_any_category(self) -> set[ClientState]:
        """Return the clients that subscribe to any category."""
        return set().union(*self._categories.values())

    def add(self, client: ClientState, subscription: Subscription) -> None:
        """Index the names of a subscription."""
        for names, index in ((subscription.parts, self._parts), (subscription.categories, self._categories)):
            for name in names:
                index.setdefault(name, set()).add(client)

    def remove(self, client: ClientState, subscription: Subscription) -> None:
        """Remove the names of an ended subscription that no other subscription of the client contains."""
        for names, held, index in (
            (subscription.parts, client.parts, self._parts),
            (subscription.categories, client.categories, self._categories),
        ):
            for name in names:
                if name not in held and (clients := index.get(name)) is not None:
                    clients.discard(client)
                    if not clients:
                        del index[name]


_NONE: set[ClientState] = set()
