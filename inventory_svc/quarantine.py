"""Levels that somebody outside the service has locked: requests for them are refused for a while, the others go on.

Without it one forgotten transaction at a SQL shell would make every batch wait for its lock, and so everybody.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from chassis.errors import Overloaded

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from inventory_svc.domain.stock import LevelKey
    from inventory_svc.job import Job

QUARANTINE_SECONDS = 2.0  # then one batch waits for the lock again, to see whether it is gone


class Quarantine:
    """The levels set aside, each until its time is over."""

    def __init__(self) -> None:
        """Begin with none."""
        self._until: dict[LevelKey, float] = {}

    def isolate(self, levels: Collection[LevelKey]) -> None:
        """Set levels aside."""
        until = time.monotonic() + QUARANTINE_SECONDS
        self._until.update(dict.fromkeys(levels, until))

    def admit(self, jobs: Sequence[Job]) -> Sequence[Job]:
        """The jobs that touch none of them; the others are refused."""
        if not self._until:
            return jobs
        now = time.monotonic()
        self._until = {key: until for key, until in self._until.items() if until > now}
        blocked = [job for job in jobs if any(key in self._until for key in job.intent.needs().levels)]
        refuse_locked(blocked)
        return [job for job in jobs if job not in blocked]


def refuse_locked(jobs: Sequence[Job]) -> None:
    """Tell callers that they are not at fault and when to come again."""
    for job in jobs:
        message = "The stock is locked by a transaction outside the service. Retry with the same request id."
        job.refuse(Overloaded(message, metadata={"cause": "locked"}, retry_after_seconds=1.0))
