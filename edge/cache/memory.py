"""The first tier: the memory of this process, bounded by bytes, updated from the logs, never going backwards."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cachetools import LRUCache

from edge.cache import keys
from edge.cache.values import CODECS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from changelog.cursor import Position
    from edge.cache.keys import Kind

JITTER = 0.1  # of a lifetime, so that entries filled together do not end together
MAX_AWAITED = 10_000  # writes of this process that its follower has not yet applied; more means that it is cut off
REMEMBERED_VERSIONS = 20_000  # of each kind: the newest version shown, also of entries evicted since
REFRESH_AT = 0.9  # of a lifetime: from here on the next reader starts a refresh


@dataclass(slots=True)
class Entry:
    """A value that shows everything up to ``revision`` of its log."""

    value: Any
    revision: int
    names: tuple[str, ...]
    size: int
    filled_at: float
    ends_at: float
    refreshing: bool = False


@dataclass(frozen=True, slots=True)
class LogChange:
    """What one log entry changes in the cache.

    The result of ``value`` joins the entry of ``ident``; without ``value`` the entry is dropped, because the change
    cannot be joined. Without ``ident`` every entry of the kind is dropped. Most changes are of parts without an entry:
    for those ``value`` is never called.
    """

    revision: int
    names: tuple[str, ...]
    kind: Kind | None = None
    ident: str = ""
    value: Callable[[], Any] | None = None


@dataclass(slots=True)
class _Following:
    """How far one log is applied here, and what it touched."""

    position: Position
    floor: InvalidationFloor
    awaited: dict[str, int] = field(default_factory=dict)  # names written here, until the log has reached the write


class MemoryCache:
    """Entries by kind; the least recently used are evicted first."""

    def __init__(self) -> None:
        """Start empty."""
        self._following: dict[str, _Following] = {}
        self._entries: dict[str, LRUCache[str, Entry]] = {
            kind.name: LRUCache(kind.memory_bytes, getsizeof=lambda entry: entry.size) for kind in keys.KINDS
        }
        self._newest: dict[str, LRUCache[str, int]] = {kind.name: LRUCache(REMEMBERED_VERSIONS) for kind in keys.KINDS}

    def begin(self, position: Position) -> None:
        """Follow a log from this position on; drop what is held of it."""
        self._clear(position.log)
        self._clear("")
        self._following[position.log] = _Following(position, InvalidationFloor(position.revision))

    def position(self, log: str) -> Position | None:
        """Return the position of this process in a log; ``None`` before it follows."""
        following = self._following.get(log)
        return following.position if following else None

    def required(self, log: str, names: Iterable[str]) -> int | None:
        """Return the lowest revision a copy must be complete up to; ``None`` when the log is not followed yet."""
        following = self._following.get(log)
        return following.floor.required(names) if following else None

    def apply(self, position: Position, changes: Iterable[LogChange]) -> None:
        """Apply log entries and advance to ``position``. Applying them again changes nothing."""
        following = self._following.get(position.log)
        if following is None or following.position.epoch != position.epoch:
            self.begin(position)
            return
        if position.revision <= following.position.revision:
            return
        for change in changes:
            if change.revision > following.position.revision:
                self._apply_one(following.floor, change)
        following.position = position
        if following.awaited:
            following.awaited = {
                name: revision for name, revision in following.awaited.items() if revision > position.revision
            }

    def get(self, kind: Kind, ident: str) -> Entry | None:
        """Return the entry, if it is usable. It may have expired: see ``wants_refresh``."""
        entries = self._entries[kind.name]
        entry = entries.get(ident)
        if entry is None:
            return None
        if kind.tagged and entry.revision < (self.required(kind.log, entry.names) or 0):
            del entries[ident]
            return None
        if not kind.tagged and kind.log and self._is_behind(kind, entry):
            return None
        return entry

    def has_ended(self, entry: Entry) -> bool:
        """Return whether the entry has expired, so that it is used only when nothing better is available."""
        return time.monotonic() >= entry.ends_at

    def wants_refresh(self, entry: Entry) -> bool:
        """Return whether the caller should refresh the entry in the background; true for one caller only."""
        now = time.monotonic()
        lived, life = now - entry.filled_at, entry.ends_at - entry.filled_at
        if entry.refreshing or lived < REFRESH_AT * life:
            return False
        entry.refreshing = True
        return True

    def fill(self, kind: Kind, ident: str, value: Any, read_at: Position | None, tags: tuple[str, ...] = ()) -> bool:
        """Store a value read at a position, unless something newer may have touched it since.

        A rejected value from the source may still be returned to its caller: the read started before the newer value
        was shown, and the caller's token names what it shows. It is only not stored.
        """
        names = keys.names_of(kind, ident, tags) if kind.log else ()
        revision = 0
        if kind.log:
            following = self._following.get(kind.log)
            if following is None or read_at is None or read_at.epoch != following.position.epoch:
                return False
            if read_at.revision < following.floor.required(names):
                return False
            revision = read_at.revision
            if revision > following.position.revision and not kind.tagged:
                # It was shown; after an eviction nothing older may be shown again.
                following.floor.touch(names[0], revision)
        return self._join(kind, ident, value, revision, names)

    def _join(self, kind: Kind, ident: str, value: Any, revision: int, names: tuple[str, ...]) -> bool:
        codec = CODECS[kind.name]
        held = self._entries[kind.name].get(ident)
        if held is not None and codec.is_unknown(value) and not codec.is_unknown(held.value):
            # The read found nothing and an entry exists: one of them is older, and no version tells which.
            if revision >= held.revision:
                self.drop(kind, ident)
            return False
        if held is not None:
            value = codec.join(held.value, value) if revision >= held.revision else held.value
            revision = max(revision, held.revision)
        elif codec.version(value) < self._newest[kind.name].get(ident, 0):
            # A read may show more than its revision says. What it showed was evicted, and this value is older.
            return False
        self._put(kind, ident, value, revision, names)
        return True

    def expect(self, position: Position, name: str) -> None:
        """Record an acknowledged write of the name: nothing older is shown, even before the log applies it."""
        following = self._following.get(position.log)
        if following is None or following.position.epoch != position.epoch:
            return
        if position.revision > following.position.revision:
            following.floor.touch(name, position.revision)
            following.awaited[name] = max(position.revision, following.awaited.get(name, 0))
            if len(following.awaited) > MAX_AWAITED:
                following.awaited.clear()
                following.floor.touch_all(position.revision)
                self._clear(position.log)

    def drop(self, kind: Kind, ident: str) -> bool:
        """Drop an entry; return whether there was one."""
        return self._entries[kind.name].pop(ident, None) is not None

    def clear(self) -> None:
        """Drop every entry; positions stay."""
        for entries in self._entries.values():
            entries.clear()

    def occupancy(self) -> dict[str, tuple[int, int]]:
        """Return entries and bytes held, by kind."""
        return {name: (len(entries), int(entries.currsize)) for name, entries in self._entries.items()}

    def idents(self, kind: Kind) -> list[str]:
        """Return the identifiers held, least recently used first."""
        return list(self._entries[kind.name])

    def _clear(self, log: str) -> None:
        for kind in keys.KINDS:
            if kind.log == log:
                self._entries[kind.name].clear()
                self._newest[kind.name].clear()

    def _is_behind(self, kind: Kind, entry: Entry) -> bool:
        awaited = self._following[kind.log].awaited
        return bool(awaited) and entry.revision < awaited.get(entry.names[0], 0)

    def _apply_one(self, floor: InvalidationFloor, change: LogChange) -> None:
        for name in change.names:
            floor.touch(name, change.revision)
        if change.kind is None:
            return
        entries = self._entries[change.kind.name]
        if not change.ident:
            entries.clear()
            floor.touch_all(change.revision)
            return
        held = entries.get(change.ident)
        if held is None or change.revision <= held.revision:
            return
        if change.value is None:
            self.drop(change.kind, change.ident)
            return
        value = CODECS[change.kind.name].join(held.value, change.value())
        self._put(change.kind, change.ident, value, change.revision, held.names)

    def _put(self, kind: Kind, ident: str, value: Any, revision: int, names: tuple[str, ...]) -> None:
        entries = self._entries[kind.name]
        now = time.monotonic()
        life = kind.lifetime_seconds * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - spreads expiry
        codec = CODECS[kind.name]
        size = codec.size(value) + len(ident)
        version = codec.version(value)
        if version:
            self._newest[kind.name][ident] = version
        entries.pop(ident, None)
        if size <= entries.maxsize:
            entries[ident] = Entry(value, revision, names, size, now, now + life)


MAX_NAMES = 65_536  # about 10 MB; a name is a part or a tag


class InvalidationFloor:
    """The invalidation floor: the lowest revision at which a copy of a name is up to date.

    Exact for recent changes, one floor for all older ones, bounded in size: a forgotten name counts as touched at the
    floor, so the result may be too high and is never too low.
    """

    def __init__(self, floor: int) -> None:
        """Start without knowledge of changes up to ``floor``."""
        self._floor = floor
        self._touched: dict[str, int] = {}

    @property
    def floor(self) -> int:
        """Return the revision below which everything counts as touched."""
        return self._floor

    def touch(self, name: str, revision: int) -> None:
        """Record a change of the name, committed at the revision."""
        known = self._touched.pop(name, 0)
        self._touched[name] = max(known, revision)
        if len(self._touched) > MAX_NAMES:
            oldest = next(iter(self._touched))
            self._floor = max(self._floor, self._touched.pop(oldest))

    def touch_all(self, revision: int) -> None:
        """Record a change of every name."""
        self._floor = max(self._floor, revision)

    def required(self, names: Iterable[str]) -> int:
        """Return the lowest revision that a copy depending on these names must be complete up to."""
        least = self._floor
        for name in names:
            least = max(least, self._touched.get(name, 0))
        return least
