"""What a client missed between its cursor and now: all of it, or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chassis.errors import PartstreamError
from edge.live.events import ContentEvent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from changelog.cursor import Position
    from edge.cache.category_tree import CategoryTree
    from edge.live.catch_up import LogAccess
    from edge.live.part_states import PartStates
    from edge.live.ring import Published, Ring
    from edge.live.session import Subscription

MOST_MISSED: Final = 1_000_000  # entries of both logs since a cursor of mode `all`; beyond it a snapshot is sent
MOST_UNKNOWN: Final = 2_000  # parts whose category would have to be read to know whether they belong


def missed_changes(
    ring: Ring,
    client: Mapping[str, Position],
    subscription: Subscription,
    states: PartStates,
    tree: CategoryTree,
) -> list[Published] | None:
    """Changes after the client's positions that its subscription is about; ``None`` when too many are unclear.

    Some may turn out not to belong once a part's category is known: the session drops those.
    """
    missed: list[Published] = []
    unknown: set[str] = set()
    for entry in ring.after(client):
        part_id = entry.change.part_id
        if part_id in subscription.parts:
            missed.append(entry)
        elif not subscription.categories:
            continue
        elif isinstance(entry.change, ContentEvent):
            if not subscription.categories.isdisjoint(entry.change.categories):
                missed.append(entry)
        elif _may_belong(part_id, subscription, states, tree, unknown):
            missed.append(entry)
        if len(unknown) > MOST_UNKNOWN:
            return None
    return missed


async def is_logged(access: LogAccess, client: Mapping[str, Position], here: Mapping[str, Position]) -> bool:
    """Whether the logs still have what lies between a client's positions and the ring, and it is not too much."""
    if access.pages is None or client.keys() != here.keys():
        return False
    if any(client[log].epoch != position.epoch for log, position in here.items()):
        return False
    if sum(max(0, position.revision - client[log].revision) for log, position in here.items()) > MOST_MISSED:
        return False
    try:
        for position in client.values():
            if not access.ring.covers(position):
                await access.pages.after(position)
    except PartstreamError:
        return False
    return True


def made_public(missed: Sequence[Published]) -> int:
    """How often a part became public meanwhile."""
    changes = [entry.change for entry in missed if isinstance(entry.change, ContentEvent)]
    return sum(change.public_operation == "created" for change in changes)


def newest_states(missed: Sequence[Published]) -> list[Published]:
    """What a client of states needs of missed changes: of a part's stock only the last, which supersedes the rest.

    Changes of content are all kept: what each of them changed is told together.
    """
    last = {entry.change.part_id: entry for entry in missed if not isinstance(entry.change, ContentEvent)}
    return [entry for entry in missed if isinstance(entry.change, ContentEvent) or last[entry.change.part_id] is entry]


def _may_belong(
    part_id: str, subscription: Subscription, states: PartStates, tree: CategoryTree, unknown: set[str]
) -> bool:
    state = states.get(part_id)
    if state is None or state.category_id is None:
        unknown.add(part_id)
        return True
    return not subscription.categories.isdisjoint(tree.upwards(state.category_id))
