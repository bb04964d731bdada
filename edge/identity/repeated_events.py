"""Events that callers can cause as often as they like: those of a minute that are alike are one row that counts.

The first is stored at once, those that follow a second later at most, together. How many rows a minute brings is
bounded as well: with more addresses than that, the rest are counted together.
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
MOST_A_MINUTE: Final = 200  # rows of one process; at 90 days 26 million rows, about 6 GB, whatever comes
_MINUTE_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event as it is stored."""

    kind: str
    user_id: UUID | None
    username: str
    session_id: UUID | None
    client_ip: str
    request_id: str
    details: str  # JSON


@dataclass(slots=True)
class _Counted:
    """The first event of its kind in a minute, and how many are not stored yet."""

    row: EventRow
    minute: int
    waiting: int = 0


class RepeatedEvents(BackgroundService):
    """Counts and stores them."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        """``clock`` returns seconds since 1970."""
        super().__init__("security-events", INTERVAL_SECONDS)
        self._database = database
        self._clock = clock
        self._counted: dict[str, _Counted] = {}

    async def add(self, row: EventRow, alike: str) -> bool:
        """Count an event; return whether it is the first of its kind in this minute.

        Events are alike when kind, address and ``alike`` are equal.
        """
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
        """Whether this minute has its share, or an outage of the database has filled the memory for it."""
        of_minute = sum(item.minute == minute for item in self._counted.values())
        return of_minute >= MOST_A_MINUTE or len(self._counted) >= MOST_HELD

    async def run_once(self) -> None:
        """Store what is not stored yet, and forget the minutes that are over."""
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
        """Store the number that waits; it goes on waiting while the database is unavailable."""
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
