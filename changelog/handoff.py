"""Entries that a write transaction reads back itself, in the statement that wrote them, and hands to the feed.

After its commit the feed would ask the database for them: one more round trip, which is half of the time from a commit
to its watchers. Only what goes on where the window ends is taken: the first row is the entry known before, and its hash
says that the history is the same. Everything else is read by the tailer as ever.
"""

# ruff: noqa: S608 - the statements are composed of the constants of this file only

from __future__ import annotations

from itertools import starmap
from typing import TYPE_CHECKING

from changelog.log_entry import COLUMNS, LogEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import asyncpg

ENTRIES_AT_MOST = 64  # as in the function `change_log_written`; the tailer reads more than that, in turns with others


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
        """``known()`` is the revision at which the window ends; 0 = hand nothing over."""
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
