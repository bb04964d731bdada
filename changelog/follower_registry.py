"""The registered followers of a log: their names, the positions sent to them, and the positions they reported.

A reported position is accepted up to the one that a watch under the follower's name was sent. Sent positions are held
in memory and stored once a second, so that a follower may report to another replica than the one that serves it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from changelog.cursor import Position
from chassis.background import BackgroundService
from chassis.errors import CursorFromFuture, FollowerNotFound, Overloaded, PositionNotSent

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    from changelog.log_reader import LogReader
    from chassis.database import Database

PERMISSION: Final = "followers:write"
MOST_FOLLOWERS: Final = 100
_STORE_SECONDS: Final = 1.0

# The registered followers by name.
_LIST = """
SELECT name, revision, sent_revision, registered_by, reported_at, reported_at < now() - $1::interval AS inactive
FROM change_log_follower ORDER BY name
"""

# One follower.
_FIND = """
SELECT name, revision, sent_revision, registered_by, reported_at, reported_at < now() - $1::interval AS inactive
FROM change_log_follower WHERE name = $2
"""

# Register a follower, or move a registered one to a given position; no row when too many are registered.
_REGISTER = """
INSERT INTO change_log_follower AS f (name, epoch, revision, sent_revision, registered_by)
SELECT $1, $2, $3, $3, $4
WHERE (SELECT count(*) FROM change_log_follower) < $5 OR EXISTS (SELECT FROM change_log_follower WHERE name = $1)
ON CONFLICT (name) DO UPDATE SET epoch = excluded.epoch, revision = excluded.revision,
    sent_revision = excluded.sent_revision, registered_by = excluded.registered_by, reported_at = now()
WHERE $6
RETURNING name
"""

# Store a reported position; within an epoch it never goes back, and never beyond the one sent.
_REPORT = """
UPDATE change_log_follower AS f SET epoch = $2, reported_at = now(),
    revision = CASE WHEN f.epoch = $2 THEN greatest(f.revision, $3) ELSE $3 END,
    sent_revision = greatest(CASE WHEN f.epoch = $2 THEN f.sent_revision ELSE 0 END, $3, $4)
WHERE f.name = $1 AND $3 <= greatest($4, CASE WHEN f.epoch = $2 THEN f.sent_revision
    ELSE least(f.sent_revision, (SELECT began_after FROM change_log_identity)) END)
RETURNING name
"""

# Store the position sent to a follower.
_STORE_SENT = """
UPDATE change_log_follower AS f SET epoch = $2,
    revision = CASE WHEN f.epoch = $2 THEN f.revision
                    ELSE least(f.revision, (SELECT began_after FROM change_log_identity)) END,
    sent_revision = CASE WHEN f.epoch = $2 THEN greatest(f.sent_revision, $3) ELSE $3 END
WHERE f.name = $1
"""

# Remove a follower.
_REMOVE = "DELETE FROM change_log_follower WHERE name = $1 RETURNING name"


@dataclass(frozen=True, slots=True)
class RegisteredFollower:
    """A follower as stored; ``inactive`` once retention no longer waits for it."""

    name: str
    revision: int
    sent_revision: int
    registered_by: str
    reported_at: datetime
    inactive: bool


class FollowerRegistry(BackgroundService):
    """Registers, lists and removes followers, and stores their positions."""

    def __init__(self, database: Database, reader: LogReader, hold_for: timedelta) -> None:
        """Retention does not wait for a follower that has not reported for ``hold_for``."""
        super().__init__(f"{reader.log}-followers", _STORE_SECONDS)
        self._database = database
        self._reader = reader
        self._hold_for = hold_for
        self._sent: dict[str, Position] = {}
        self._unstored: set[str] = set()

    async def run_once(self) -> None:
        """Store the positions sent since the last run."""
        names, self._unstored = self._unstored, set()
        try:
            for name in names:
                sent = self._sent[name]
                await self._database.pool.execute(_STORE_SENT, name, sent.epoch, sent.revision)
        except BaseException:
            self._unstored |= names
            raise

    async def listed(self) -> list[RegisteredFollower]:
        """Return every registered follower."""
        rows = await self._database.pool.fetch(_LIST, self._hold_for)
        return [RegisteredFollower(**dict(row)) for row in rows]

    async def find(self, name: str) -> RegisteredFollower:
        """Return a follower; raise ``FollowerNotFound`` when it is not registered."""
        row = await self._database.pool.fetchrow(_FIND, self._hold_for, name)
        if row is None:
            raise _unknown(name)
        return RegisteredFollower(**dict(row))

    async def register(self, name: str, position: Position | None, registered_by: str) -> RegisteredFollower:
        """Register a follower at a position, by default before the oldest entry, and return it.

        Raise ``CursorFromFuture`` for a position beyond the newest entry, ``Overloaded`` when too many are registered.
        """
        head = await self._reader.head()
        if position is not None and position.revision > head.revision:
            message = "The cursor is beyond the newest change."
            raise CursorFromFuture(message)
        start = position or Position(head.log, head.epoch, max(0, await self._reader.oldest() - 1))
        arguments = (name, start.epoch, start.revision, registered_by, MOST_FOLLOWERS, position is not None)
        if await self._database.pool.fetchval(_REGISTER, *arguments) is not None:
            self._sent[name] = start
        try:
            return await self.find(name)
        except FollowerNotFound:
            message = (
                f"The limit of {MOST_FOLLOWERS} registered followers is reached. Remove one that is no longer needed."
            )
            raise Overloaded(message) from None

    async def report(self, name: str, position: Position) -> None:
        """Store the position that a follower reports; raise ``FollowerNotFound`` or ``PositionNotSent``."""
        sent = self._sent.get(name)
        known = sent.revision if sent is not None and sent.epoch == position.epoch else 0
        arguments = (name, position.epoch, position.revision, known)
        if await self._database.pool.fetchval(_REPORT, *arguments) is not None:
            return
        follower = await self.find(name)
        last = max(known, follower.sent_revision)
        message = f"The follower {name} was sent changes up to revision {last}. Report at most that revision."
        raise PositionNotSent(message, metadata={"sent_revision": str(last)})

    async def remove(self, name: str) -> None:
        """Remove a follower; raise ``FollowerNotFound`` when it is not registered."""
        if await self._database.pool.fetchval(_REMOVE, name) is None:
            raise _unknown(name)
        self._sent.pop(name, None)
        self._unstored.discard(name)

    async def recorder(self, name: str, start: Position | None) -> Callable[[Position], None]:
        """Return what a watch under a follower's name calls before each message; ``start`` is its present position.

        Raise ``FollowerNotFound`` when it is not registered. The caller's permission is checked elsewhere.
        """
        await self.find(name)

        def record(position: Position) -> None:
            sent = self._sent.get(name)
            if sent is None or sent.epoch != position.epoch or sent.revision < position.revision:
                self._sent[name] = position
                self._unstored.add(name)

        if start is not None:
            record(start)
        return record


def _unknown(name: str) -> FollowerNotFound:
    return FollowerNotFound(f"No follower {name} is registered. Register it first.")
