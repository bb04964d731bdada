"""Events that any client can cause any number of times: equal events of a minute share a row with their number.

The first is stored at once, the others together within a second. The rows of a minute are bounded as well: beyond
``MOST_A_MINUTE`` all further addresses share one row.
"""

from __future__ import annotations

import hashlib
import logging
import time
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Final

from chassis.addresses import site_of
from chassis.background import BackgroundService
from chassis.store_errors import STORE_FAILURES, translated
from edge.identity.sql import STATEMENTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from chassis.database import Database

log = logging.getLogger("edge.security")

INTERVAL_SECONDS: Final = 1.0
MOST_HELD: Final = 10_000  # counts in memory while the database is unavailable
MOST_A_MINUTE: Final = 200  # rows of one process; in 90 days at most 26 million rows, about 6 GB
_MINUTE_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event as it is stored, in the order of the parameters of ``count_event``."""

    kind: str
    user_id: UUID | None
    username: str
    session_id: UUID | None
    client_ip: str
    request_id: str
    details: str  # JSON


@dataclass(slots=True)
class _Counted:
    """The first event of a key in a minute, and the number of events that are not stored yet."""

    row: EventRow
    minute: int
    waiting: int = 0


class RepeatedEvents(BackgroundService):
    """Count events in memory and store their numbers."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        """``clock`` returns seconds since 1970."""
        super().__init__("security-events", INTERVAL_SECONDS)
        self._database = database
        self._clock = clock
        self._counted: dict[str, _Counted] = {}

    async def add(self, row: EventRow, alike: str) -> bool:
        """Count an event; return whether it is the first with its kind, address and ``alike`` in this minute."""
        minute = int(self._clock() // _MINUTE_SECONDS)
        key = _key(minute, row.kind, site_of(row.client_ip), alike)
        if key not in self._counted and self._is_full(minute):
            row = EventRow(row.kind, None, "", None, "", "", '{"addresses": "many"}')
            key = _key(minute, row.kind)
        counted = self._counted.get(key)
        is_first = counted is None
        if counted is None:
            counted = self._counted[key] = _Counted(row, minute)
        counted.waiting += 1
        if is_first:
            await self._store(key, counted)
        return is_first

    def _is_full(self, minute: int) -> bool:
        """Return whether the rows of this minute, or those waiting for the database, are at their limit."""
        of_minute = sum(item.minute == minute for item in self._counted.values())
        return of_minute >= MOST_A_MINUTE or len(self._counted) >= MOST_HELD

    async def run_once(self) -> None:
        """Store what is not stored yet, and drop past minutes."""
        minute = int(self._clock() // _MINUTE_SECONDS)
        for key, counted in list(self._counted.items()):
            if counted.waiting:
                await self._store(key, counted)
            if counted.minute != minute and not counted.waiting:
                self._counted.pop(key, None)

    async def close(self) -> None:
        """Stop, after a last attempt to store what waits."""
        await self.stop()
        await self.run_once()

    async def _store(self, key: str, counted: _Counted) -> None:
        """Store the waiting number; it keeps waiting while the database is unavailable."""
        number, counted.waiting = counted.waiting, 0
        try:
            await self._database.pool.execute(STATEMENTS["count_event"], *astuple(counted.row), key, number)
        except STORE_FAILURES as error:
            counted.waiting += number
            if translated(error) is None:
                raise
            log.warning("security events not stored yet: database unavailable", extra={"kind": counted.row.kind})
        except BaseException:
            counted.waiting += number
            raise


def _key(*parts: object) -> str:
    return hashlib.blake2b("\n".join(map(str, parts)).encode("utf-8", "replace"), digest_size=16).hexdigest()
