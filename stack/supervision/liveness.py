"""Detect a running process that does not respond: stopped, or its event loop blocked permanently."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

INTERVAL_SECONDS = 2.0
# After a tick this late the supervisor itself did not run: the machine slept, or all processes were stopped.
LATE_SECONDS = 3.0
FEWEST_FAILURES = 3


@dataclass(frozen=True, slots=True)
class Liveness:
    """Whether a process responds, asked in a thread; how long it may not, in seconds, and 0 for always."""

    responds: Callable[[], bool]
    seconds: float

    async def until_unresponsive(self) -> float:
        """Return once every probe has failed for that long, with the seconds since the last one that did not."""
        clock = asyncio.get_running_loop().time
        responded, failures = clock(), 0
        while True:
            slept = clock()
            await asyncio.sleep(INTERVAL_SECONDS)
            if clock() - slept > INTERVAL_SECONDS + LATE_SECONDS:
                responded, failures = clock(), 0
            if await asyncio.to_thread(self.responds):
                responded, failures = clock(), 0
                continue
            failures += 1
            if failures >= FEWEST_FAILURES and clock() - responded >= self.seconds:
                return clock() - responded
