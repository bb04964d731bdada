"""Find what a client missed since its cursor, and make it into events."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from chassis.errors import PartstreamError
from edge.live.errors import TooSlow
from edge.live.events import ContentEvent, Event, StockEvent
from edge.live.part_states import StockReplay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from changelog.cursor import Position
    from edge.cache.follow import CategoryTree
    from edge.live.catch_up import CatchUp, LogAccess
    from edge.live.change_history import Published, Ring
    from edge.live.part_states import PartStates
    from edge.live.protocol import Subscription

MAX_MISSED: Final = 1_000_000  # entries of both logs since a cursor of mode `all`; beyond it a snapshot is sent
MAX_UNKNOWN: Final = 2_000  # parts whose category must be read to decide whether they match


def missed_changes(
    ring: Ring,
    since: Mapping[str, Position],
    subscription: Subscription,
    states: PartStates,
    tree: CategoryTree,
) -> list[Published] | None:
    """Return the changes after the client's positions that match its subscription; ``None`` when too many are unclear.

    Some may turn out not to match once the category of a part is known: rendering drops those.
    """
    missed: list[Published] = []
    unknown: set[str] = set()
    for entry in ring.after(since):
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
        if len(unknown) > MAX_UNKNOWN:
            return None
    return missed


async def is_logged(access: LogAccess, since: Mapping[str, Position], here: Mapping[str, Position]) -> bool:
    """Return whether the logs still have what lies between a client's positions and the ring, within ``MAX_MISSED``."""
    if access.pages is None or since.keys() != here.keys():
        return False
    if any(since[log].epoch != position.epoch for log, position in here.items()):
        return False
    if sum(max(0, position.revision - since[log].revision) for log, position in here.items()) > MAX_MISSED:
        return False
    try:
        for position in since.values():
            if not access.ring.covers(position):
                await access.pages.after(position)
    except PartstreamError:
        return False
    return True


def made_public(missed: Sequence[Published]) -> int:
    """Return how often a part was published meanwhile."""
    changes = [entry.change for entry in missed if isinstance(entry.change, ContentEvent)]
    return sum(change.public_operation == "created" for change in changes)


def newest_states(missed: Sequence[Published]) -> list[Published]:
    """Return the missed changes that mode `latest` needs: of a part's stock only the last, which supersedes the rest.

    All changes of content are included: their changed fields are merged.
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


REFERENCE_BYTES: Final = 8  # cost of a missed change that waits: the ring holds the change itself


class Backlog:
    """Missed changes, made into events one by one as the socket takes them.

    However much a client missed, it costs one reference per change, and its size is no reason to close the connection:
    a client that was closed for being slow would be closed again permanently.
    """

    def __init__(
        self,
        ring: Ring,
        missed: Iterable[Published],
        since: Mapping[str, Position],
        states: PartStates,
        fallback: Callable[[Mapping[str, Position]], CatchUp] | None = None,
    ) -> None:
        """Create it in the same step in which the ring is read: the changes are undone from the current states.

        ``fallback`` reads on from the positions reached when the ring has evicted a change.
        """
        self._ring = ring
        self._since = dict(since)
        self._fallback = fallback
        self._missed = deque(missed)
        self._states = states
        self._replays: dict[str, StockReplay] = {}
        self._waiting: dict[int, StockEvent] = {}
        self._taken: Published | None = None
        self.size = len(self._missed) * REFERENCE_BYTES
        self._take_back()

    def __len__(self) -> int:
        return len(self._missed)

    def take(self) -> Event | None:
        """Return the next event, or ``None`` after the last; raise ``TooSlow`` when the ring has evicted it."""
        if not self._missed:
            return None
        entry = self._missed.popleft()
        if not self._ring.holds(entry):
            self._missed.clear()
            raise TooSlow
        self._taken = entry
        if isinstance(entry.change, ContentEvent):
            return entry.change.at(_merge_positions(entry.positions, self._since))
        replayed = self._replays.get(entry.change.part_id)
        if replayed is None:
            return self._waiting.pop(entry.revision)
        event = self._event(entry)
        event.stock = replayed.after(entry.change)
        return event

    def catch_up(self) -> CatchUp | None:
        """Return the catch-up that reads on from here without the ring, if there is one."""
        if self._fallback is None:
            return None
        positions = (
            self._since.values() if self._taken is None else _merge_positions(self._taken.positions, self._since)
        )
        return self._fallback({position.log: position for position in positions})

    def _take_back(self) -> None:
        """Undo the changes from the current states: the ring holds every change between, so the result is exact."""
        for entry in self._missed:
            change = entry.change
            if isinstance(change, ContentEvent):
                continue
            state = self._states.obtain(change.part_id)
            if state.stock is None:
                # Set when the state is read, together with the changes that arrive until then.
                event = self._waiting[entry.revision] = self._event(entry)
                state.waiting.append(event)
                continue
            replayed = self._replays.get(change.part_id)
            if replayed is None:
                replayed = self._replays[change.part_id] = StockReplay(state.stock)
            replayed.take_back(change)

    def _event(self, entry: Published) -> StockEvent:
        positions = _merge_positions(entry.positions, self._since)
        return StockEvent(entry.change, self._states.obtain(entry.change.part_id), positions)


def _merge_positions(positions: tuple[Position, ...], since: Mapping[str, Position]) -> tuple[Position, ...]:
    """Merge positions, so that a client that is ahead in one log does not go back."""
    merged = dict(since)
    for position in positions:
        known = merged.get(position.log)
        if known is None or known.revision < position.revision:
            merged[position.log] = position
    return tuple(merged.values())
