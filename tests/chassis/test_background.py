"""Background services run their steps, retry them and stop."""

from __future__ import annotations

import asyncio
import contextlib

from chassis.background import BackgroundService, Backoff


class Counter(BackgroundService):
    """Counts its steps; the first ones can fail."""

    def __init__(self, failures: int = 0) -> None:
        super().__init__("counter", 3600)
        self.steps = 0
        self.stepped = asyncio.Event()
        self._failures = failures

    async def run_once(self) -> None:
        self.steps += 1
        self.stepped.set()
        if self.steps <= self._failures:
            message = "not yet"
            raise OSError(message)


async def test_a_nudge_runs_the_next_step_now() -> None:
    counter = Counter()
    counter.start()
    await counter.stepped.wait()
    counter.stepped.clear()
    counter.nudge()
    async with asyncio.timeout(5):
        await counter.stepped.wait()
    await counter.stop()

    assert counter.steps == 2


async def test_a_service_that_is_nudged_and_stopped_at_once_stops() -> None:
    for _ in range(20):
        counter = Counter()
        counter.start()
        await counter.stepped.wait()
        await asyncio.sleep(0)
        counter.nudge()
        async with asyncio.timeout(5):
            await counter.stop()


async def test_a_failed_step_is_retried_soon() -> None:
    counter = Counter(failures=1)
    counter.start()
    async with asyncio.timeout(5):
        while counter.steps < 2:
            counter.stepped.clear()
            await counter.stepped.wait()
    await counter.stop()


def test_delays_grow_to_their_bound_with_full_jitter_and_start_again_after_a_reset() -> None:
    backoff = Backoff(0.1, 3.0)
    rounds = [[backoff.next() for _ in range(8)] for _ in range(200)]
    backoff.reset()
    first = [max(delays) for delays in zip(*rounds, strict=True)][-1]

    assert 2.0 < first <= 3.0  # the longest of many is close to the bound
    assert min(delay for delays in rounds for delay in delays) < 0.3  # and any can be short
    assert backoff.next() <= 0.1


class Deaf(BackgroundService):
    """A step that swallows its cancellation, as a driver does while it connects."""

    def __init__(self) -> None:
        super().__init__("deaf", 3600)
        self.began = asyncio.Event()

    async def run_once(self) -> None:
        self.began.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()


async def test_a_step_that_swallows_its_cancellation_is_stopped() -> None:
    """A scheduler that was stopped while its heartbeat connected to Redis never ended."""
    deaf = Deaf()
    deaf.start()
    await deaf.began.wait()

    async with asyncio.timeout(5):
        await deaf.stop()
