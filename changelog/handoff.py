"""Hand-off of committed entries: a write transaction reads its entries back, in the statement that wrote them.

Without it the tailer would read them after the commit: one more round trip, half of the time from a commit to its
watchers. Entries are accepted only where they continue the window: the first row is the newest entry of the window, and
its hash proves that the history is the same. Everything else is read by the tailer.
"""

# ruff: noqa: S608 - the statements are composed of the constants of this file only

from __future__ import annotations

from itertools import starmap
from typing import TYPE_CHECKING

from changelog.log_entry import COLUMNS, LogEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import asyncpg

ENTRIES_AT_MOST = 64  # more are read by the tailer, which yields to other tasks meanwhile

# The entries from the known one to the last one written, under the log's lock, which the writer holds: those of other
# replicas are among them. No rows when there are too many, or none is known. Volatile, so that it reads what its own
# statement has written.
WRITTEN = f"""
CREATE FUNCTION change_log_written(last_known bigint, last_written bigint) RETURNS SETOF change_log
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF last_known > 0 AND last_written - last_known BETWEEN 1 AND {ENTRIES_AT_MOST} THEN
        RETURN QUERY SELECT l.* FROM change_log AS l
            WHERE l.revision BETWEEN last_known AND last_written ORDER BY l.revision;
    END IF;
END $$;
"""


def handing_off(call: str, parameter: int) -> str:
    """Return a statement that calls a function which writes, and reads back the entries that it wrote.

    The function returns its last revision, if any; the parameter with this number is ``Handoff.known``.
    """
    return f"""
SELECT {COLUMNS}, w.written FROM (SELECT {call} AS written OFFSET 0) AS w
LEFT JOIN LATERAL change_log_written(${parameter}, w.written) AS l ON true
"""


# Close the log of a transaction: its deferred triggers fire now, so that the revision is known before the commit.
SEAL = handing_off("change_log_seal()", 1)


class Handoff:
    """The entries of one transaction, between its write and its commit."""

    def __init__(self, known: Callable[[], int] = lambda: 0) -> None:
        """``known()`` returns the revision at which the window ends; 0 = no hand-off."""
        self._known = known
        self._entries: Sequence[LogEntry] = ()

    @property
    def known(self) -> int:
        """The revision to read from."""
        return self._known()

    async def seal(self, connection: asyncpg.Connection[asyncpg.Record]) -> int | None:
        """Close the log of the transaction; return its last revision, or ``None`` when it changed nothing."""
        return self.read(await connection.fetch(SEAL, self.known))

    def read(self, rows: Sequence[asyncpg.Record]) -> int | None:
        """Store the entries in the result of a ``handing_off`` statement; return the last revision written."""
        written: int | None = rows[-1]["written"]
        is_empty = rows[0]["revision"] is None
        self._entries = () if is_empty else list(starmap(LogEntry, (row[:-1] for row in rows)))
        return written

    def take(self) -> Sequence[LogEntry]:
        """Return the entries once their transaction is committed; the next call returns none."""
        entries, self._entries = self._entries, ()
        return entries
