"""How far the audit trail is: reported to the services, and shown as follower status."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final, Protocol

from changelog import cursor as cursors
from changelog.follower import ChangeSource
from chassis.background import BackgroundService
from chassis.errors import EpochChanged, FollowerNotFound, PositionNotSent
from edge.cache.follow import Freshness
from edge.upstream.follower_metrics import FollowerStatus
from tasks.audit.queries import position_of

if TYPE_CHECKING:
    import asyncpg

log = logging.getLogger(__name__)

FOLLOWER: Final = "audit"


class ReportingSource(ChangeSource, Protocol):
    """A service's log that accepts the position of a follower."""

    async def head(self) -> str:
        """Return the cursor of the newest entry."""

    async def register(self, cursor: str) -> None:
        """Register the follower: the log retains what follows the cursor."""

    async def report(self, cursor: str) -> None:
        """Report that everything up to the cursor is stored."""


class PositionReport(BackgroundService):
    """Reports the position of the trail in one log periodically. An empty trail needs every entry."""

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
            # Another replica sent it, or the watch has not restarted: the next report is due soon.
            log.info("position not accepted log=%s error=%s", self._source.log, error)
        except EpochChanged:
            # The trail is still in the previous epoch. Until it has moved on, the log retains all entries since the
            # restore.
            log.info("position not reported, audit trail in the previous epoch log=%s", self._source.log)


class DispatchStatus:
    """The follower status of one log, while this process is the dispatcher."""

    def __init__(self, bookmark_seconds: float) -> None:
        """Start without messages."""
        self._bookmark_seconds = bookmark_seconds
        self._began = time.monotonic()
        self._heard_at = 0.0
        self._newest = 0
        self._stored = 0
        self._streams = 0
        self._connected = False
        self._fresh = Freshness(lambda: self._connected)
        self.gaps_recorded = 0

    def opened(self, stored: int) -> None:
        """Record that a stream is opened, from the position of the trail."""
        self._streams += 1
        self._stored = self._newest = stored

    def record_message(self, newest: int) -> None:
        """Record a message; ``newest`` is the newest revision of the log that is known."""
        self._connected = True
        self._heard_at = time.monotonic()
        self._newest = max(self._newest, newest)
        self._fresh.record_message(self._stored, self._newest)

    def stored(self, revision: int) -> None:
        """Record that the trail has everything up to a revision."""
        self._stored = revision
        self._fresh.reached(revision)

    def closed(self) -> None:
        """Record that the stream ended."""
        self._connected = False

    def read(self) -> FollowerStatus:
        """Return the current status."""
        now = time.monotonic()
        silent = now - (self._heard_at or self._began)
        lag = max(0, self._newest - self._stored)
        behind = min(self._fresh.age_seconds(), now - self._began)
        return FollowerStatus(
            connected=self._connected,
            lag_revisions=lag,
            lag_seconds=behind if lag or silent > self._bookmark_seconds else 0.0,
            silent_seconds=silent,
            reconnects=max(0, self._streams - 1),
            resyncs=self.gaps_recorded,
            gaps=0,
        )
