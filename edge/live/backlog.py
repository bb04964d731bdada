"""Missed changes on their way to one socket."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from edge.live.errors import TooSlow
from edge.live.events import ContentEvent, Event, StockEvent
from edge.live.part_states import Retelling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from changelog.cursor import Position
    from edge.live.catch_up import CatchUp
    from edge.live.part_states import PartStates
    from edge.live.ring import Published, Ring

REFERENCE_BYTES: Final = 8  # what a missed change costs while it waits: the ring holds the change itself


class Backlog:
    """Missed changes, made into events one by one as the socket takes them.

    However much a client missed, it costs a reference per change, and its size is no reason to send it away: a client
    that came back because it was too slow would be sent away for ever.
    """

    def __init__(
        self,
        ring: Ring,
        missed: Iterable[Published],
        client: Mapping[str, Position],
        states: PartStates,
        fallback: Callable[[Mapping[str, Position]], CatchUp] | None = None,
    ) -> None:
        """Must be made in the same moment in which the ring was read: present states are taken back from here.

        ``fallback`` reads on from the positions reached when the ring lets go of a change.
        """
        self._ring = ring
        self._client = dict(client)
        self._fallback = fallback
        self._missed = deque(missed)
        self._states = states
        self._retellings: dict[str, Retelling] = {}
        self._waiting: dict[int, StockEvent] = {}
        self._taken: Published | None = None
        self.size = len(self._missed) * REFERENCE_BYTES
        self._take_back()

    def __len__(self) -> int:
        return len(self._missed)

    def take(self) -> Event | None:
        """The next event, or ``None`` after the last; ``TooSlow`` when the ring has let go of it."""
        if not self._missed:
            return None
        entry = self._missed.popleft()
        if not self._ring.holds(entry):
            self._missed.clear()
            raise TooSlow
        self._taken = entry
        if isinstance(entry.change, ContentEvent):
            return entry.change.at(_later(entry.positions, self._client))
        retelling = self._retellings.get(entry.change.part_id)
        if retelling is None:
            return self._waiting.pop(entry.revision)
        event = self._event(entry)
        event.stock = retelling.after(entry.change)
        return event

    def catch_up(self) -> CatchUp | None:
        """What reads on from here without the ring, if anything does."""
        if self._fallback is None:
            return None
        positions = self._client.values() if self._taken is None else _later(self._taken.positions, self._client)
        return self._fallback({position.log: position for position in positions})

    def _take_back(self) -> None:
        """The ring holds every change of a part up to its present state: each state between can be told exactly."""
        for entry in self._missed:
            change = entry.change
            if isinstance(change, ContentEvent):
                continue
            state = self._states.obtain(change.part_id)
            if state.stock is None:
                # Told when the state is read, together with the changes that come until then.
                event = self._waiting[entry.revision] = self._event(entry)
                state.waiting.append(event)
                continue
            retelling = self._retellings.get(change.part_id)
            if retelling is None:
                retelling = self._retellings[change.part_id] = Retelling(state.stock)
            retelling.take_back(change)

    def _event(self, entry: Published) -> StockEvent:
        positions = _later(entry.positions, self._client)
        return StockEvent(entry.change, self._states.obtain(entry.change.part_id), positions)


def _later(positions: tuple[Position, ...], client: Mapping[str, Position]) -> tuple[Position, ...]:
    """A client that was further in one log, through another process, is not told to go back."""
    merged = dict(client)
    for position in positions:
        known = merged.get(position.log)
        if known is None or known.revision < position.revision:
            merged[position.log] = position
    return tuple(merged.values())
