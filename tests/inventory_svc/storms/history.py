"""A checker of histories: could everything that callers were told have happened one after another, as time allows?

A level's versions are dense, so that the order of its writes is known from their answers: no search is needed. What is
left to check is that this order respects real time (Herlihy & Wing, "Linearizability", 1990), that each answer follows
from the state before it, and that reads and refusals saw a state of their time.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple


class Kind(Enum):
    """What was asked."""

    SET = "set"
    ADJUST = "adjust"
    READ = "read"


@dataclass(frozen=True, slots=True)
class Operation:
    """One call, all its retries included: when it was first asked, when it was last answered, and the answer.

    ``version`` and ``on_hand`` are the level of the answer. A refusal has ``is_refused`` and the level that refused it.
    """

    kind: Kind
    began: float
    ended: float
    version: int
    on_hand: int
    amount: int = 0
    is_refused: bool = False


class State(NamedTuple):
    """A level after a version."""

    version: int
    on_hand: int


class NotLinearizable(AssertionError):
    """The message says which answers cannot both be true."""


@dataclass
class History:
    """The calls on one level, which began with ``on_hand`` units at version 1."""

    on_hand: int
    operations: list[Operation] = field(default_factory=list)

    def check(self) -> list[State]:
        """Every state the level went through; ``NotLinearizable`` when the answers do not fit together."""
        writes = sorted(
            (item for item in self.operations if item.kind is not Kind.READ and not item.is_refused),
            key=lambda item: item.version,
        )
        states = self._replay(writes)
        self._check_real_time(writes)
        timeline = _Timeline(writes)
        for item in self.operations:
            if item.kind is Kind.READ or item.is_refused:
                _check_seen(item, states, timeline)
        self._check_reads_are_monotonic()
        return states

    def _replay(self, writes: list[Operation]) -> list[State]:
        """Each success took exactly one version, and its answer follows from the state before it."""
        states = [State(0, 0), State(1, self.on_hand)]
        for item in writes:
            last = states[-1]
            if item.version != last.version + 1:
                message = f"after version {last.version} comes {item.version}: {item}"
                raise NotLinearizable(message)
            expected = item.amount if item.kind is Kind.SET else last.on_hand + item.amount
            if item.on_hand != expected:
                message = f"{expected} units should be there after {item}, which followed {last}"
                raise NotLinearizable(message)
            states.append(State(item.version, item.on_hand))
        return states

    def _check_real_time(self, writes: list[Operation]) -> None:
        """A write that ended before another began has the lower version."""
        latest_begin = 0.0
        for item in writes:
            if item.ended < latest_begin:
                message = f"{item} ended before an earlier version began"
                raise NotLinearizable(message)
            latest_begin = max(latest_begin, item.began)

    def _check_reads_are_monotonic(self) -> None:
        """A read that began after another ended saw no older state."""
        reads = sorted((item for item in self.operations if item.kind is Kind.READ), key=lambda item: item.ended)
        ends = [item.ended for item in reads]
        highest: list[int] = []
        for item in reads:
            highest.append(max(item.version, highest[-1] if highest else 0))
        for item in reads:
            earlier = bisect_left(ends, item.began)
            if earlier and highest[earlier - 1] > item.version:
                message = f"{item} saw an older state than a read that had ended before it began"
                raise NotLinearizable(message)


class _Timeline:
    """Which versions may have been current during an interval."""

    def __init__(self, writes: list[Operation]) -> None:
        by_end = sorted(writes, key=lambda item: item.ended)
        self._ends = [item.ended for item in by_end]
        self._done: list[int] = []
        for item in by_end:
            self._done.append(max(item.version, self._done[-1] if self._done else 1))
        by_begin = sorted(writes, key=lambda item: item.began)
        self._begins = [item.began for item in by_begin]
        self._begun: list[int] = []
        for item in by_begin:
            self._begun.append(max(item.version, self._begun[-1] if self._begun else 1))

    def range(self, began: float, ended: float) -> tuple[int, int]:
        """The lowest version that can still, and the highest that can already, have been seen."""
        done = bisect_left(self._ends, began)
        begun = bisect_left(self._begins, ended)
        return (self._done[done - 1] if done else 1), (self._begun[begun - 1] if begun else 1)


def _check_seen(item: Operation, states: list[State], timeline: _Timeline) -> None:
    low, high = timeline.range(item.began, item.ended)
    if not low <= item.version <= high:
        message = f"{item} saw version {item.version}, but only {low} to {high} were there in its time"
        raise NotLinearizable(message)
    if states[item.version].on_hand != item.on_hand:
        message = f"{item} saw {item.on_hand} units where there were {states[item.version].on_hand}"
        raise NotLinearizable(message)
    if item.is_refused and item.kind is Kind.ADJUST and item.on_hand + item.amount >= 0:
        message = f"{item} was refused although there was enough"
        raise NotLinearizable(message)
