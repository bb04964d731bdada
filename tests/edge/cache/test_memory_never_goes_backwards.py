"""Whatever the order of fills, log entries and evictions: memory holds what was true, and never goes back."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge.cache import keys
from edge.cache.memory import MemoryCache
from partstream.inventory.v1 import stock_pb2
from tests.edge.cache.histories import Truth, at

PARTS = ("A", "B")
LOCATIONS = ("main", "north")


class MemoryHistories(RuleBasedStateMachine):
    """One process: a follower that lags, readers that dawdle between reading and filling."""

    def __init__(self) -> None:
        super().__init__()
        self.truth = Truth()
        self.memory = MemoryCache()
        self.memory.begin(at(0))
        self.slow_reads: list[tuple[str, int, stock_pb2.PartStock]] = []
        self.shown: dict[str, int] = dict.fromkeys(PARTS, 0)

    @property
    def applied(self) -> int:
        position = self.memory.position("inventory")
        assert position is not None
        return position.revision

    @rule(part=st.sampled_from(PARTS), location=st.sampled_from(LOCATIONS))
    def commit(self, part: str, location: str) -> None:
        self.truth.commit(part, location)

    @rule(count=st.integers(1, 3))
    def follow(self, count: int) -> None:
        until = min(self.applied + count, self.truth.head)
        self.memory.apply(at(until), self.truth.entries(self.applied, until))

    @rule(back=st.integers(0, 3))
    def follow_again(self, back: int) -> None:
        after = max(0, self.applied - back)
        self.memory.apply(at(self.applied), self.truth.entries(after, self.applied))

    @rule(part=st.sampled_from(PARTS), behind=st.integers(0, 2))
    def begin_to_read(self, part: str, behind: int) -> None:
        self.slow_reads.append((part, max(0, self.truth.head - behind), self.truth.read(part)))

    @precondition(lambda self: self.slow_reads)
    @rule(data=st.data())
    def fill(self, data: st.DataObject) -> None:
        part, revision, value = self.slow_reads.pop(data.draw(st.integers(0, len(self.slow_reads) - 1)))
        self.memory.fill(keys.STOCK, part, value, at(revision))

    @rule(part=st.sampled_from(PARTS))
    def evict(self, part: str) -> None:
        self.memory.drop(keys.STOCK, part)

    @invariant()
    def holds_what_was_true_and_not_older(self) -> None:
        for part in PARTS:
            entry = self.memory.get(keys.STOCK, part)
            if entry is None:
                continue
            known = max(self.applied, entry.revision)
            moments = [self.truth.as_of(part, revision) for revision in range(known, self.truth.head + 1)]
            assert entry.value in moments
            assert entry.value.version >= self.shown[part]
            self.shown[part] = entry.value.version


MemoryHistories.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestMemoryHistories = MemoryHistories.TestCase


def test_read_older_than_an_evicted_value_is_not_stored() -> None:
    truth, memory = Truth(), MemoryCache()
    memory.begin(at(0))
    truth.commit("A", "main")
    older = truth.read("A")
    truth.commit("A", "main")
    memory.fill(keys.STOCK, "A", truth.read("A"), at(1))  # a token is a lower bound: the read shows more than it says
    memory.drop(keys.STOCK, "A")

    assert not memory.fill(keys.STOCK, "A", older, at(1))
    assert memory.fill(keys.STOCK, "A", truth.read("A"), at(1))
