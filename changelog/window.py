"""The newest entries of a change log in memory: each entry is encoded once and shared by every watcher.

The window is a ring bounded by count and bytes. A watcher has no buffer of its own, only a position: it may lag by as
much as the window holds. Entries are encoded for the audiences that are watched; a new audience is served from the
table until the window holds its entries.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from changelog.visibility import STAFF
from changelog.wire import varint

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from changelog.log_entry import LogEntry

WINDOW_BYTES = 64 * 1024**2  # a minute and a half of 1,000 changes/s of about 700 bytes
WINDOW_ENTRIES = 100_000
_CHANGES_TAG = b"\x12"  # field 2, length-delimited: `changes` of every Watch response
_OVERHEAD_BYTES = 400  # Python objects of one entry, measured with tracemalloc


class WindowEntry(msgspec.Struct, gc=False):
    """An entry ready to send: framed bytes for each audience, ``b""`` where it is hidden."""

    revision: int
    keys: frozenset[str]
    framed_for: dict[str, bytes]
    ends_transaction: bool = False

    @property
    def size(self) -> int:
        """Return the bytes that the entry takes in memory."""
        size = _OVERHEAD_BYTES
        for framed in self.framed_for.values():
            size += len(framed)
        return size


def frame(payload: bytes) -> bytes:
    """Return a message as an element of ``changes``: tag, length, payload. Empty stays empty."""
    return _CHANGES_TAG + varint(len(payload)) + payload if payload else b""


class EntryEncoder:
    """Converts log entries to window entries."""

    def __init__(self, encode: Callable[[LogEntry, str], bytes], keys: Callable[[LogEntry], frozenset[str]]) -> None:
        """``encode(entry, audience)`` serialises a change; ``keys(entry)`` the part ids for filters."""
        self._encode = encode
        self._keys = keys

    def __call__(
        self, entry: LogEntry, audiences: Collection[str], part_ids: Collection[str] = frozenset()
    ) -> WindowEntry:
        """Return the entry, framed for some audiences; empty when a filter of part ids excludes it."""
        keys = self._keys(entry)
        framed = {}
        is_wanted = not part_ids or not keys.isdisjoint(part_ids)
        for audience in audiences:
            framed[audience] = frame(self._encode(entry, audience)) if is_wanted else b""
        return WindowEntry(entry.revision, keys, framed)


class Window:
    """The newest entries, gap-free: ``start`` < revision <= ``end``."""

    def __init__(self, start: int, *, max_entries: int = WINDOW_ENTRIES, max_bytes: int = WINDOW_BYTES) -> None:
        """Start empty after revision ``start``."""
        self.start = start
        self._entries: deque[WindowEntry] = deque()
        self._bytes = 0
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._served_after = {STAFF: start}

    @property
    def end(self) -> int:
        """Return the newest revision, or ``start`` when empty."""
        return self.start + len(self._entries)

    @property
    def bytes_held(self) -> int:
        """Return the bytes of all entries."""
        return self._bytes

    @property
    def audiences(self) -> Collection[str]:
        """Return the audiences that entries must be encoded for."""
        return self._served_after.keys()

    def serve(self, audience: str) -> None:
        """Require new entries to be encoded for an audience too."""
        self._served_after.setdefault(audience, self.end)

    def append(self, entry: WindowEntry) -> None:
        """Add the next entry; evict the oldest ones beyond a bound."""
        if entry.revision != self.end + 1:
            message = f"revision {entry.revision} does not follow {self.end}"
            raise ValueError(message)
        for audience in self._served_after.keys() - entry.framed_for.keys():
            self._served_after[audience] = entry.revision  # added while the entry was encoded
        self._entries.append(entry)
        self._bytes += entry.size
        while len(self._entries) > self._max_entries or (self._bytes > self._max_bytes and len(self._entries) > 1):
            self._bytes -= self._entries.popleft().size
            self.start += 1

    def covers(self, revision: int, audience: str = STAFF) -> bool:
        """Whether the window holds everything after ``revision`` for an audience."""
        return max(self.start, self._served_after[audience]) <= revision <= self.end

    def after(self, revision: int) -> Iterator[WindowEntry]:
        """Yield the entries after a revision that the window covers, oldest first."""
        skip = revision - self.start
        if skip <= len(self._entries) // 2:
            return islice(self._entries, skip, None)
        return reversed(list(islice(reversed(self._entries), len(self._entries) - skip)))
