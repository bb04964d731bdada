"""The last entries of a log that is about to be replaced: the audit trail stores them, or notes what it lacks.

First the trail catches up while everything runs. Then the log is held still for a moment - writers wait for its lock,
and go on with the restored database - so that the trail can store what was committed meanwhile. What it has not by
then is known exactly: the end of the log is read when no other session is left.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final, Protocol

import psycopg

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# As the triggers lock the log for an entry (``changelog/schema.sql``); for a session, so that no transaction is open.
HOLD: Final = "SELECT pg_advisory_lock(7301, 1)"
END_OF_LOG: Final = """
SELECT i.epoch::text, coalesce((SELECT l.revision FROM change_log l ORDER BY l.revision DESC LIMIT 1), 0)
FROM change_log_identity i
"""
HOLD_SECONDS: Final = 1.5  # writers wait for a lock for 1 s at a time, a few times
LOCK_TIMEOUT: Final = "2s"
POLL_SECONDS: Final = 0.05


class TrailOfLog(Protocol):
    """The audit trail of one log."""

    @property
    def wait_seconds(self) -> float:
        """How long to wait for it while everything runs."""

    def holds(self, epoch: str, revision: int) -> bool:
        """Whether it has everything up to a revision."""

    def ended(self, epoch: str, revision: int, continued_after: int) -> None:
        """Take note of the end of an epoch, and of the revision after which the restored log continues."""


class HeldLog:
    """A session of its own in the database that is replaced."""

    def __init__(self, connection: psycopg.Connection, trail: TrailOfLog | None, continued_after: int) -> None:
        self._connection = connection
        self._trail = trail
        self._continued_after = continued_after
        self.pid = connection.info.backend_pid

    def drain(self) -> None:
        """Let the trail store what the log has; hold the log still for the last of it."""
        trail = self._trail
        if trail is None or not _wait(lambda: trail.holds(*self._end()), trail.wait_seconds):
            return
        with contextlib.suppress(psycopg.OperationalError):  # another session holds it, and is about to be ended
            self._connection.execute(HOLD)
            _wait(lambda: trail.holds(*self._end()), HOLD_SECONDS)

    def finish(self) -> None:
        """Read the end of the log, note it in the trail, and disconnect. Done again, it changes nothing."""
        if self._connection.closed:
            return
        with contextlib.suppress(psycopg.OperationalError):  # this session was ended too: the end is not known
            if self._trail is not None:
                self._trail.ended(*self._end(), self._continued_after)
        self._connection.close()

    def _end(self) -> tuple[str, int]:
        row = self._connection.execute(END_OF_LOG).fetchone()
        return ("", 0) if row is None else (str(row[0]), int(row[1]))


@contextlib.contextmanager
def held_log(dsn: str, trail: TrailOfLog | None, continued_after: int) -> Iterator[HeldLog]:
    """Drain the log of the database of ``dsn``, and hold it still as long as this is open and not finished."""
    with psycopg.connect(dsn, autocommit=True, options=f"-c lock_timeout={LOCK_TIMEOUT}") as connection:
        held = HeldLog(connection, trail, continued_after)
        held.drain()
        yield held


def _wait(is_done: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not is_done():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
