"""Follow the logs: what their entries change in the cache, how fresh each follower is, and the category tree."""

from __future__ import annotations

import logging
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from changelog import cursor as cursors
from changelog.visibility import AUDIENCES, PUBLIC, is_published, redact
from chassis.background import Backoff
from chassis.retry import retry
from edge import metrics
from edge.cache import keys
from edge.cache.breaker import SharedTierBehind, SharedTierUnavailable
from edge.cache.memory import LogChange, MemoryCache
from edge.cache.values import Absent, cached_level
from partstream.changes.v1 import origin_pb2
from partstream.content.v1 import part_pb2
from partstream.inventory.v1 import stock_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence

    from changelog.follower import ChangeBatch
    from edge.cache.shared import SharedCache
    from partstream.content.v1 import part_change_pb2
    from partstream.inventory.v1 import stock_change_pb2

log = logging.getLogger(__name__)

T = TypeVar("T")


def public_part(part: part_pb2.Part) -> part_pb2.Part | Absent:
    """Return the public fields of a part, or ``Absent`` with its version when it is not public."""
    if not is_published(part):
        return Absent(part.version)
    shown = part_pb2.Part()
    shown.CopyFrom(part)
    redact(shown, AUDIENCES[PUBLIC])
    return shown


def read_stock_change(change: stock_change_pb2.StockChange) -> LogChange:
    """Replace the level of one location; a deleted level drops the whole stock."""
    if not change.part_id:
        return LogChange(change.revision, ())
    names = (keys.part_name(change.part_id),)
    if not change.HasField("after"):
        return LogChange(change.revision, names, keys.STOCK, change.part_id)
    return LogChange(change.revision, names, keys.STOCK, change.part_id, partial(_stock_of, change.after))


def _stock_of(level: stock_pb2.StockLevel) -> stock_pb2.PartStock:
    return stock_pb2.PartStock(part_id=level.part_id, levels=[cached_level(level)])


class PartChangeReader:
    """Reads content changes; the category tree is as of the last one read."""

    def __init__(self, tree: CategoryTree) -> None:
        """Read with this tree."""
        self.tree = tree

    def __call__(self, change: part_change_pb2.PartChange) -> LogChange:
        """Replace a part and invalidate the listings it is or was in; a category invalidates every listing."""
        if change.HasField("category"):
            return self._read_category(change)
        before = change.before if change.HasField("before") else None
        after = change.after if change.HasField("after") else None
        categories, counts_moved = keys.part_change_tags(before, after)
        names = {keys.part_name(change.part_id), keys.ANY_PART_TAG}
        for category_id in categories:
            names.update(keys.category_tag(above) for above in self.tree.upwards(category_id))
            if not self.tree.knows(category_id):
                names.add(keys.TREE_TAG)  # its ancestors are invalidated as well
        if counts_moved:
            names.add(keys.COUNTS_TAG)
        value = partial(public_part, after) if after is not None else partial(Absent, change.version)
        if after is not None and not after.category_path:
            # The entry lacks the names of the part's categories: the next read loads the part from the service.
            return LogChange(change.revision, tuple(names), keys.PART, change.part_id)
        return LogChange(change.revision, tuple(names), keys.PART, change.part_id, value)

    def _read_category(self, change: part_change_pb2.PartChange) -> LogChange:
        moved = change.category
        is_gone = change.operation == origin_pb2.OPERATION_DELETED or not moved.HasField("after")
        if is_gone:
            self.tree.remove(change.entity_id)
        else:
            self.tree.put(moved.after)
        was_known = moved.HasField("before")
        renamed = was_known and (is_gone or _path_of(moved.before) != _path_of(moved.after))
        # A path is part of every part in the subtree, and these are not known here: all are read again.
        return LogChange(change.revision, (keys.TREE_TAG, keys.COUNTS_TAG), keys.PART if renamed else None)


def _path_of(category: part_pb2.Category) -> tuple[str, str]:
    return category.parent_id, category.name


class MemorySink:
    """Applies one log to the memory of this process."""

    def __init__(
        self, log_name: str, memory: MemoryCache, read: Callable[[Any], LogChange], freshness: Freshness
    ) -> None:
        """``read`` returns what a log entry changes in the cache; ``freshness`` records how far the log is applied."""
        self._log = log_name
        self._memory = memory
        self._read = read
        self._freshness = freshness

    async def position(self) -> str:
        """Return no position: memory starts empty, with the next change."""
        return ""

    async def reset(self, cursor: str, pages: AsyncIterator[Sequence[Any]]) -> None:  # noqa: ARG002
        """Drop all entries; they are filled again by reads."""
        self._memory.begin(_position(cursor, self._log))

    async def apply(self, batch: ChangeBatch) -> None:
        """Apply a batch in one step: no reader gets half of it."""
        position = _position(batch.cursor, self._log)
        self._memory.apply(position, [self._read(change) for change in batch.changes])
        self._freshness.record_message(position.revision, batch.newest_revision)
        metrics.CACHE_APPLIED.labels("memory", self._log).inc(len(batch.changes))


class SharedSink:
    """Applies one log to Redis. Waits while Redis is unavailable: the log itself is the queue, and nothing is lost."""

    def __init__(self, log_name: str, shared: SharedCache, read: Callable[[Any], LogChange]) -> None:
        """``read`` returns what a log entry changes in the cache."""
        self._log = log_name
        self._shared = shared
        self._read = read
        self._applied: cursors.Position | None = None

    async def position(self) -> str:
        """Return the cursor that Redis is complete up to; empty when it holds nothing."""
        self._applied = await _until_available(lambda: self._shared.position(self._log))
        return "" if self._applied is None else cursors.encode(self._applied)

    async def reset(self, cursor: str, pages: AsyncIterator[Sequence[Any]]) -> None:  # noqa: ARG002
        """Drop the namespace: entries between its position and the cursor may be missing."""
        await self._begin(_position(cursor, self._log))

    async def apply(self, batch: ChangeBatch) -> None:
        """Apply a batch; when Redis has lost its position, start again at the beginning of the batch."""
        position = _position(batch.cursor, self._log)
        before = self._applied
        if before is None or before.epoch != position.epoch:
            await self._begin(position)
            return
        changes = [self._read(change) for change in batch.changes]
        try:
            await _until_available(lambda: self._shared.apply(before.revision, position, changes))
        except SharedTierBehind as error:
            log.warning("shared cache position lost, entries dropped log=%s error=%s", self._log, error)
            await self._begin(before)
            await _until_available(lambda: self._shared.apply(before.revision, position, changes))
        self._applied = position
        metrics.CACHE_APPLIED.labels("shared", self._log).inc(len(changes))

    async def _begin(self, position: cursors.Position) -> None:
        await _until_available(lambda: self._shared.begin(position))
        self._applied = position


async def _until_available(call: Callable[[], Awaitable[T]]) -> T:
    return await retry(call, SharedTierUnavailable, Backoff(0.1, 2.0))


def _position(cursor: str, log_name: str) -> cursors.Position:
    position = cursors.position_in(cursor, log_name)
    if position is None:
        message = f"the cursor holds no position of the {log_name} log"
        raise ValueError(message)
    return position


SPACING_SECONDS = 0.25  # between remembered messages; a follower far behind gets hundreds a second
MAX_REMEMBERED = 1000  # four minutes; a follower further behind than that is not used for reads


class Freshness:
    """How fresh one log is in this process: the time up to which every commit is certainly applied.

    Each message carries the newest revision at the time it was sent. Once that revision is applied, the state of this
    process is as of the arrival of the message; no clock of another machine takes part.
    """

    def __init__(self, is_connected: Callable[[], bool], clock: Callable[[], float] = time.monotonic) -> None:
        """Start without messages."""
        self._is_connected = is_connected
        self._clock = clock
        self._open: deque[tuple[int, float]] = deque(maxlen=MAX_REMEMBERED)
        self._as_of = float("-inf")

    @property
    def is_connected(self) -> bool:
        """Return whether the stream is open."""
        return self._is_connected()

    def record_message(self, reached: int, newest: int) -> None:
        """Record a message, applied up to ``reached`` when the newest revision of the log was ``newest``."""
        now = self._clock()
        if newest <= reached:
            self._as_of = now
            self._open.clear()
            return
        if not self._open or now - self._open[-1][1] >= SPACING_SECONDS:
            self._open.append((newest, now))
        self.reached(reached)

    def reached(self, reached: int) -> None:
        """Record that everything up to a revision is applied."""
        while self._open and self._open[0][0] <= reached:
            self._as_of = self._open.popleft()[1]

    def age_seconds(self) -> float:
        """Return the age such that everything committed earlier is applied; infinite before the first message."""
        return self._clock() - self._as_of


DEEPEST = 64  # the database rejects cycles; this bounds the walk if a copy of the tree were wrong


class CategoryTree:
    """Parents by category. An unknown category counts as a root."""

    def __init__(self) -> None:
        """Start empty."""
        self._parents: dict[str, str] = {}
        self.moves = 0  # how often a category was added, moved or removed

    def load(self, categories: Iterable[part_pb2.Category]) -> None:
        """Replace the tree."""
        self._parents = {category.category_id: category.parent_id for category in categories}

    def put(self, category: part_pb2.Category) -> None:
        """Add a category, or move it."""
        self._parents[category.category_id] = category.parent_id
        self.moves += 1

    def remove(self, category_id: str) -> None:
        """Forget a category."""
        self._parents.pop(category_id, None)
        self.moves += 1

    def knows(self, category_id: str) -> bool:
        """Return whether the category, and therefore its ancestors, are known."""
        return category_id in self._parents

    def upwards(self, category_id: str) -> tuple[str, ...]:
        """Return the category itself and its ancestors, nearest first."""
        found: list[str] = []
        while category_id and len(found) < DEEPEST:
            found.append(category_id)
            category_id = self._parents.get(category_id, "")
        return tuple(found)
