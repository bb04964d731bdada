"""What a client missed between its cursor and now, from the ring: all of it, or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge.live.events import ContentEvent, Event, StockEvent
from edge.live.part_states import replay

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chassis.changes.cursor import Position
    from edge.cache.category_tree import CategoryTree
    from edge.live.part_states import PartStates
    from edge.live.ring import Ring
    from edge.live.session import Subscription

MOST_UNKNOWN: Final = 2_000  # parts whose category would have to be read to know whether they belong


def recovered_events(
    ring: Ring,
    client: Mapping[str, Position],
    subscription: Subscription,
    states: PartStates,
    tree: CategoryTree,
) -> list[Event] | None:
    """Events after the client's positions that its subscription is about, in order; ``None`` when too many are unclear.

    Some may turn out not to belong once a part's category is known: the session drops those.
    """
    events: list[Event] = []
    stock_events: dict[str, list[StockEvent]] = {}
    unknown: set[str] = set()
    for entry in ring.after(client):
        if isinstance(entry.change, ContentEvent):
            if entry.change.part_id in subscription.parts or not subscription.categories.isdisjoint(
                entry.change.categories
            ):
                events.append(entry.change.at(_later(entry.positions, client)))
            continue
        part_id = entry.change.part_id
        belongs = part_id in subscription.parts or (
            bool(subscription.categories) and _may_belong(part_id, subscription, states, tree, unknown)
        )
        if len(unknown) > MOST_UNKNOWN:
            return None
        if belongs:
            event = StockEvent(entry.change, states.obtain(part_id), _later(entry.positions, client))
            stock_events.setdefault(part_id, []).append(event)
            events.append(event)
    for missed in stock_events.values():
        _tell_stock(missed)
    return events


def _later(positions: tuple[Position, ...], client: Mapping[str, Position]) -> tuple[Position, ...]:
    """A client that was further in one log, through another process, is not told to go back."""
    merged = dict(client)
    for position in positions:
        known = merged.get(position.log)
        if known is None or known.revision < position.revision:
            merged[position.log] = position
    return tuple(merged.values())


def _may_belong(
    part_id: str, subscription: Subscription, states: PartStates, tree: CategoryTree, unknown: set[str]
) -> bool:
    state = states.get(part_id)
    if state is None or state.category_id is None:
        unknown.add(part_id)
        return True
    return not subscription.categories.isdisjoint(tree.upwards(state.category_id))


def _tell_stock(events: list[StockEvent]) -> None:
    """The ring holds every change of the part up to its present state, so each state between can be told exactly."""
    state = events[0].state
    if state.stock is None:
        state.waiting.extend(events)
        return
    for event, stock in zip(events, replay(state.stock, [event.change for event in events]), strict=True):
        event.stock = stock
