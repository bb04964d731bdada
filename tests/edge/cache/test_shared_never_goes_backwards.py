"""Two processes over one Redis: no order of fills, log entries and resets shows either an older value."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass, field
from functools import partial

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from changelog.cursor import Position
from edge.cache import keys, shared
from edge.cache.memory import MemoryCache
from edge.cache.shared import SharedCache
from partstream.inventory.v1 import stock_pb2
from tests.edge.cache.histories import Truth

PARTS = ("A",)
LOCATIONS = ("main", "north")


@dataclass
class Process:
    """One edge: its memory, and the newest version it has shown."""

    memory: MemoryCache = field(default_factory=MemoryCache)
    shown: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PARTS, 0))


class SharedHistories(RuleBasedStateMachine):
    """Two edges, one applier, readers that dawdle."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.epoch = uuid.uuid4()
        self.truth = Truth()
        self.shared = SharedCache(url)
        self.applied_to_shared = 0
        self.processes = [Process(), Process()]
        for process in self.processes:
            process.memory.begin(self.at(0))
        self.slow_reads: list[tuple[str, int, stock_pb2.PartStock]] = []
        self.runner.run(self.shared.begin(self.at(0)))

    def at(self, revision: int) -> Position:
        return Position("inventory", self.epoch, revision)

    def teardown(self) -> None:
        self.runner.run(self.shared.close())
        self.runner.close()

    @rule(part=st.sampled_from(PARTS), location=st.sampled_from(LOCATIONS))
    def commit(self, part: str, location: str) -> None:
        self.truth.commit(part, location)

    @rule(count=st.integers(1, 4))
    def apply_to_shared(self, count: int) -> None:
        until = min(self.applied_to_shared + count, self.truth.head)
        entries = self.truth.entries(self.applied_to_shared, until)
        self.runner.run(self.shared.apply(self.applied_to_shared, self.at(until), entries))
        self.applied_to_shared = until

    @precondition(lambda self: self.applied_to_shared)
    @rule(back=st.integers(1, 3))
    def apply_to_shared_again(self, back: int) -> None:
        after = max(0, self.applied_to_shared - back)
        entries = self.truth.entries(after, self.applied_to_shared)
        self.runner.run(self.shared.apply(after, self.at(self.applied_to_shared), entries))

    @precondition(lambda self: self.truth.head % 7 == 6)
    @rule()
    def lose_position(self) -> None:
        self.applied_to_shared = self.truth.head
        self.runner.run(self.shared.begin(self.at(self.truth.head)))

    @rule(which=st.integers(0, 1), count=st.integers(1, 3))
    def follow(self, which: int, count: int) -> None:
        memory = self.processes[which].memory
        applied = self.applied(memory)
        until = min(applied + count, self.truth.head)
        memory.apply(self.at(until), self.truth.entries(applied, until))

    @rule(which=st.integers(0, 1), part=st.sampled_from(PARTS))
    def evict(self, which: int, part: str) -> None:
        self.processes[which].memory.drop(keys.STOCK, part)

    @rule(part=st.sampled_from(PARTS))
    def evict_from_shared(self, part: str) -> None:
        self.runner.run(self.shared.drop(keys.STOCK, self.epoch, [part]))

    @rule(part=st.sampled_from(PARTS), behind=st.integers(0, 2))
    def begin_to_read(self, part: str, behind: int) -> None:
        self.slow_reads.append((part, max(0, self.truth.head - behind), self.truth.read(part)))

    @precondition(lambda self: self.slow_reads)
    @rule(data=st.data())
    def fill(self, data: st.DataObject) -> None:
        part, revision, value = self.slow_reads.pop(data.draw(st.integers(0, len(self.slow_reads) - 1)))
        self.runner.run(self.shared.fill(keys.STOCK, {part: value}, self.at(revision)))

    @rule(part=st.sampled_from(PARTS))
    def fill_at_once(self, part: str) -> None:
        self.runner.run(self.shared.fill(keys.STOCK, {part: self.truth.read(part)}, self.at(self.truth.head)))

    @rule(which=st.integers(0, 1), part=st.sampled_from(PARTS))
    def read(self, which: int, part: str) -> None:
        process = self.processes[which]
        applied = self.applied(process.memory)
        entry = process.memory.get(keys.STOCK, part)
        if entry is not None:
            value, revision = entry.value, max(entry.revision, applied)
        else:
            required = process.memory.required("inventory", [keys.part_name(part)])
            assert required is not None
            hits = self.runner.run(self.shared.read(keys.STOCK, self.epoch, {part: required}))
            if part not in hits:
                return
            value, revision = hits[part].value, max(hits[part].revision, applied)
            if not process.memory.fill(keys.STOCK, part, value, self.at(hits[part].revision)):
                return  # the source is read instead
        moments = [self.truth.as_of(part, moment) for moment in range(revision, self.truth.head + 1)]
        assert value in moments
        assert value.version >= process.shown[part]
        process.shown[part] = value.version

    @staticmethod
    def applied(memory: MemoryCache) -> int:
        position = memory.position("inventory")
        assert position is not None
        return position.revision


def test_no_process_is_shown_an_older_value(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "CALL_SECONDS", 10.0)  # this is about order: a slow machine is no outage of Redis
    run_state_machine_as_test(
        partial(SharedHistories, redis_url),  # type: ignore[arg-type]
        settings=settings(
            max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
