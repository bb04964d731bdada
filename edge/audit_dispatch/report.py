"""Telling the services how far the audit trail has come, so that their logs keep what it still needs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Protocol

from changelog import cursor as cursors
from changelog.follower import ChangeSource
from chassis.background import BackgroundService
from chassis.errors import EpochChanged, FollowerNotFound, PositionNotSent
from tasks.audit.queries import position_of

if TYPE_CHECKING:
    import asyncpg

log = logging.getLogger(__name__)

FOLLOWER: Final = "audit"


class ReportingSource(ChangeSource, Protocol):
    """A service's log that can be told who depends on it."""

    async def head(self) -> str:
        """Cursor of the newest entry."""

    async def register(self, cursor: str) -> None:
        """Make the follower known: what comes after the cursor is kept for it."""

    async def report(self, cursor: str) -> None:
        """Everything up to the cursor is stored."""


class PositionReport(BackgroundService):
    """Reports the position of the trail in one log, again and again. An empty trail needs everything."""

    def __init__(self, source: ReportingSource, pool: asyncpg.Pool[asyncpg.Record], seconds: float) -> None:
        """Nothing runs before ``start``."""
        super().__init__(f"{source.log}-audit-position", seconds)
        self._source = source
        self._pool = pool

    async def run_once(self) -> None:
        """Report once."""
        stored = await position_of(self._pool, self._source.log)
        if stored is None:
            now = cursors.position_in(await self._source.head(), self._source.log)
            if now is None:
                return
            position = cursors.Position(self._source.log, now.epoch, 0)
        else:
            position = cursors.Position(self._source.log, stored.epoch, stored.revision)
        try:
            await self._source.report(cursors.encode(position))
        except FollowerNotFound:
            await self._source.register(cursors.encode(position))
        except PositionNotSent as error:
            # Another replica sent it, or the watch has not begun again: the next report is due soon.
            log.info("%s: position not taken: %s", self._source.log, error)
        except EpochChanged:
            # The trail has not crossed over yet. Until it has, the log keeps all that came after the restore.
            log.info("%s: the audit trail is still in the epoch before", self._source.log)
