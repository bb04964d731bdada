"""One connected client: who it is, what it listens to, what it may see, what waits for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from changelog.visibility import Group, can_read
from chassis.caller import ANONYMOUS, Caller
from edge.cache import keys
from edge.live.events import ContentEvent, Event, StockEvent
from edge.live.limits import Allowance, Watched
from edge.live.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from changelog.cursor import Position
    from edge.cache.category_tree import CategoryTree
    from edge.live.events import PartState
    from edge.live.fair_scheduling import FairScheduler
    from edge.live.limits import LiveLimits


@dataclass(frozen=True, slots=True)
class Subscription:
    """One subscription of one socket."""

    id: str
    parts: frozenset[str]
    categories: frozenset[str]
    every_event: bool

    @property
    def size(self) -> int:
        """Return how many names it has; what does not exist costs as much as what does."""
        return len(self.parts) + len(self.categories)


class Held(dict[str, int]):
    """Names, each with the number of subscriptions that have it."""

    def add(self, names: Iterable[str]) -> None:
        """Count a subscription's names."""
        for name in names:
            self[name] = self.get(name, 0) + 1

    def remove(self, names: Iterable[str]) -> None:
        """Count them no longer; a name that no subscription has leaves."""
        for name in names:
            if self[name] == 1:
                del self[name]
            else:
                self[name] -= 1

    def isdisjoint(self, names: Iterable[str]) -> bool:
        """Return whether no subscription has any of these names."""
        return self.keys().isdisjoint(names)


class Session:
    """The state of one socket, without the socket."""

    def __init__(
        self,
        limits: LiveLimits,
        tree: CategoryTree,
        caller: Caller = ANONYMOUS,
        turns: FairScheduler | None = None,
        allowance: Allowance | None = None,
    ) -> None:
        """Begin without subscriptions; ``allowance`` is shared by the connections of an address."""
        self.caller = caller
        self.outbox = Outbox(limits, turns)
        self.allowance = Allowance("", limits, Watched(limits.parts)) if allowance is None else allowance
        self.subscriptions: dict[str, Subscription] = {}
        self.parts = Held()
        self.categories = Held()
        self._every_part = Held()
        self._every_category = Held()
        self._size = 0
        self._tree = tree
        self._shown: dict[tuple[str, str], int] = {}
        self._forget_after: Mapping[str, Position] | None = None

    @property
    def sees_stock(self) -> bool:
        """Whether stock frames are those for staff."""
        return can_read(self.caller, keys.INVENTORY, Group.STAFF)

    @property
    def sees_content(self) -> bool:
        """Whether content frames are those for staff."""
        return can_read(self.caller, keys.CONTENT, Group.STAFF)

    def require_room(self, subscription: Subscription) -> None:
        """Raise ``Refused`` when the connection, or its address, would listen to too many parts."""
        replaced = self.subscriptions.get(subscription.id)
        more = subscription.size - (0 if replaced is None else replaced.size)
        self.allowance.require_room(more, self._size)

    def add(self, subscription: Subscription) -> None:
        """Listen to more. Costs as much as the subscription names, whatever else is subscribed to."""
        self.allowance.watch(subscription.size)
        self._size += subscription.size
        self.subscriptions[subscription.id] = subscription
        for held, names in self._holders(subscription):
            held.add(names)

    def remove(self, subscription_id: str) -> Subscription | None:
        """Listen to less."""
        subscription = self.subscriptions.pop(subscription_id, None)
        if subscription is None:
            return None
        self.allowance.watch(-subscription.size)
        self._size -= subscription.size
        for held, names in self._holders(subscription):
            held.remove(names)
        if subscription.categories and not self.categories:
            self._keep_shown_of(self.parts)
        elif self._shown and not self.categories:
            for part_id in subscription.parts:
                if part_id not in self.parts:
                    self._shown.pop(("stock", part_id), None)
                    self._shown.pop(("content", part_id), None)
        return subscription

    def may_hear_of(self, state: PartState) -> bool:
        """Whether the client may know the stock of a part whose content is known."""
        return state.is_public or self.sees_stock

    def _may_hear_of_change(self, event: StockEvent) -> bool:
        """A part may have been published while the event waited: what happened before is not for the public."""
        return self.sees_stock or (event.state.is_public and event.was_public is not False)

    def showed(self, kind: str, part_id: str, version: int) -> None:
        """A snapshot showed this version: events up to it bring nothing new."""
        self._shown[kind, part_id] = version

    def forget_shown_after(self, positions: Mapping[str, Position]) -> None:
        """Once an event after these positions comes, all that the snapshots of categories showed have passed."""
        self._forget_after = positions

    def offer(self, event: Event) -> None:
        """Take an event in, to be sent or superseded."""
        if self._wants_every(event):
            self.outbox.put_every(event)
        else:
            self.outbox.put_latest(event)

    def render(self, event: Event) -> str | None:
        """The frame of an event whose state is known; ``None`` when this client is not to get it."""
        if not self._listens_to(event) or (isinstance(event, StockEvent) and not self._may_hear_of_change(event)):
            return None
        if self._forget_after is not None and _is_after(event, self._forget_after):
            self._forget_after = None
            self._keep_shown_of(self.parts)
        key = (event.kind, event.part_id)
        shown = self._shown.get(key)
        if shown is not None:
            if event.version <= shown:
                return None
            del self._shown[key]
        return event.frame(staff=self.sees_content if isinstance(event, ContentEvent) else self.sees_stock)

    def _wants_every(self, event: Event) -> bool:
        if event.part_id in self._every_part:
            return True
        if not self._every_category:
            return False
        if isinstance(event, StockEvent) and event.state.category_id is None:
            return True  # found out before it is sent
        return not self._every_category.isdisjoint(self._categories_of(event))

    def _listens_to(self, event: Event) -> bool:
        return event.part_id in self.parts or (
            bool(self.categories) and not self.categories.isdisjoint(self._categories_of(event))
        )

    def _categories_of(self, event: Event) -> frozenset[str]:
        if isinstance(event, StockEvent):
            return frozenset(self._tree.upwards(event.state.category_id or ""))
        return event.categories

    def _holders(self, subscription: Subscription) -> list[tuple[Held, frozenset[str]]]:
        holders = [(self.parts, subscription.parts), (self.categories, subscription.categories)]
        if subscription.every_event:
            holders += [(self._every_part, subscription.parts), (self._every_category, subscription.categories)]
        return holders

    def _keep_shown_of(self, parts: Collection[str]) -> None:
        self._shown = {key: version for key, version in self._shown.items() if key[1] in parts}


def _is_after(event: Event, positions: Mapping[str, Position]) -> bool:
    return all(
        position.log in positions and position.revision >= positions[position.log].revision
        for position in event.positions
    )
