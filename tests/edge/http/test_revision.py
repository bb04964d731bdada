"""How long a read waits for what its caller has seen."""

from typing import Any
from uuid import UUID

import pytest
from litestar.testing import RequestFactory

from changelog import cursor as cursors
from chassis.errors import RevisionNotYetServed
from edge.http import revision
from edge.http.revision import IN, WAIT_SECONDS, RevisionGate

EPOCH = UUID(int=1)


class Clock:
    """A clock that advances only where the code waits."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


class Behind:
    """A follower that never gets there."""

    def __init__(self, log: str, clock: Clock) -> None:
        self.cursor = cursors.encode(cursors.Position(log, EPOCH, 1))
        self._clock = clock

    async def reached(self, position: cursors.Position, timeout_seconds: float) -> None:
        self._clock.now += timeout_seconds
        raise RevisionNotYetServed("not yet")


async def test_several_logs_are_waited_for_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(revision, "time", clock)
    logs = ("content", "inventory")
    gate = RevisionGate({log: Behind(log, clock) for log in logs})
    wanted = cursors.encode(*(cursors.Position(log, EPOCH, 2) for log in logs))
    request: Any = RequestFactory().get("/", headers={IN: wanted})

    still_open = await gate.settle(request)

    assert still_open == wanted
    assert clock.now == pytest.approx(100.0 + WAIT_SECONDS)
