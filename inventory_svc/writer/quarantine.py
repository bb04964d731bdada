"""Quarantine of levels that a transaction outside the service has locked: writes to them are rejected for a while.

Without it, one open transaction at a SQL shell would make every batch wait for its lock.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from chassis.errors import Overloaded

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from inventory_svc.domain.stock import LevelKey
    from inventory_svc.writer.pending_write import PendingWrite

QUARANTINE_SECONDS = 2.0  # then one batch tries the lock again


class Quarantine:
    """The isolated levels, each until its quarantine expires."""

    def __init__(self) -> None:
        """Begin with none."""
        self._until: dict[LevelKey, float] = {}

    def isolate(self, levels: Collection[LevelKey]) -> None:
        """Isolate levels."""
        until = time.monotonic() + QUARANTINE_SECONDS
        self._until.update(dict.fromkeys(levels, until))

    def admit(self, writes: Sequence[PendingWrite]) -> Sequence[PendingWrite]:
        """Return the writes that touch no isolated level; reject the others."""
        if not self._until:
            return writes
        now = time.monotonic()
        self._until = {key: until for key, until in self._until.items() if until > now}
        blocked = [write for write in writes if any(key in self._until for key in write.command.needs().levels)]
        reject_locked(blocked)
        return [write for write in writes if write not in blocked]


def reject_locked(writes: Sequence[PendingWrite]) -> None:
    """Reject writes for a lock outside the service, with the time after which to retry."""
    for write in writes:
        message = "The stock is locked by a transaction outside the service. Retry with the same request id."
        write.reject(Overloaded(message, metadata={"cause": "locked"}, retry_after_seconds=1.0))
