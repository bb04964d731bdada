"""Watchers that record every message, and resume from their last cursor."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from changelog import cursor as cursors
from changelog.follower import ChangeBatch
from chassis.background import Backoff
from chassis.errors import CursorCompacted, EpochChanged, PartstreamError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from uuid import UUID

    from changelog.sources import StockSource

BOOKMARK_SECONDS = 0.25
_SILENCE_SECONDS = 4.0  # a loaded machine may be silent for less


@dataclass(frozen=True, slots=True)
class Seen:
    """The fields of a received change that are compared with the log."""

    revision: int
    entity: str
    entity_id: str
    version: int
    on_hand: int | None


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a watch; no changes = a bookmark."""

    epoch: UUID
    revision: int
    changes: tuple[Seen, ...]
    fragment: bool


@dataclass(slots=True)
class Session:
    """The messages of one connection after its first cursor."""

    cursor: str
    messages: list[Message] = field(default_factory=list)
    ended_by: str = ""


def seen(change: Any) -> Seen:
    """Return the fields of a change that are compared."""
    on_hand = change.after.on_hand if change.HasField("after") else None
    return Seen(change.revision, change.entity, change.entity_id, change.version, on_hand)


def message_of(batch: ChangeBatch) -> Message:
    """Return a received message."""
    position = cursors.position_in(batch.cursor, "inventory")
    assert position is not None
    return Message(position.epoch, position.revision, tuple(map(seen, batch.changes)), batch.fragment)


class Recorder:
    """A watcher that records messages as received, without checks or repair."""

    def __init__(self, name: str, source: StockSource, cursor: str, part_ids: Sequence[str] = ()) -> None:
        self.name = name
        self.part_ids = frozenset(part_ids)
        self.cursor = cursor
        self.sessions: list[Session] = []
        self.jumps: list[tuple[str, str, str]] = []  # from, to, reason
        self.reading = asyncio.Event()
        self.reading.set()
        self._source = source
        self._moved = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def is_public(self) -> bool:
        """Whether it watches without a token."""
        return self.name.startswith("public")

    def expected(self, change: Seen) -> Seen:
        """Return what it receives of a change: the public receives no quantity."""
        return replace(change, entity_id="", version=0, on_hand=None) if self.is_public else change

    @property
    def position(self) -> cursors.Position:
        """Return its position."""
        position = cursors.position_in(self.cursor, "inventory")
        assert position is not None
        return position

    def start(self) -> None:
        """Record in the background."""
        self._task = asyncio.create_task(self._run(), name=f"recorder-{self.name}")

    async def stop(self) -> None:
        """Stop; raise the error of a recorder that failed."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def reached(self, revision: int) -> None:
        """Return once the cursor is at the revision."""
        while self.position.revision < revision:
            if self._task is not None and self._task.done():
                self._task.result()
            self._moved.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._moved.wait(), 1)

    async def _run(self) -> None:
        backoff = Backoff(0.02, 0.2)
        while True:
            session = Session(self.cursor)
            self.sessions.append(session)
            try:
                await self._record(session)
            except (CursorCompacted, EpochChanged) as error:
                session.ended_by = error.reason
                self._jump(error)
            except (PartstreamError, TimeoutError, StopAsyncIteration) as error:
                session.ended_by = getattr(error, "reason", type(error).__name__)
            await asyncio.sleep(backoff.next())

    async def _record(self, session: Session) -> None:
        stream = self._source.watch(self.cursor, BOOKMARK_SECONDS, sorted(self.part_ids))
        async with contextlib.aclosing(stream) as batches:
            while True:
                async with asyncio.timeout(_SILENCE_SECONDS):
                    batch = await anext(batches)
                session.messages.append(message_of(batch))
                self.cursor = batch.cursor
                self._moved.set()
                await self.reading.wait()

    def _jump(self, error: PartstreamError) -> None:
        """Continue at the cursor that the error names."""
        if isinstance(error, CursorCompacted):
            to = error.metadata["oldest_cursor"]
        else:
            found = error.metadata.get("epoch_start_cursor", "")
            if not found:
                return  # only the error of a new stream has the cursor
            start = cursors.position_in(found, "inventory")
            assert start is not None
            revision = min(start.revision, self.position.revision)
            to = cursors.encode(cursors.Position("inventory", start.epoch, revision))
        self.jumps.append((self.cursor, to, error.reason))
        self.cursor = to


class StateSink:
    """A sink with the stock levels of a snapshot and the changes after it."""

    def __init__(self) -> None:
        self.levels: dict[tuple[str, str], tuple[int, int, int]] = {}
        self.runs: list[tuple[str, list[int]]] = []  # each reset starts a run of revisions
        self.positions: list[str] = []

    async def position(self) -> str | None:
        """Return ``None``: start from a snapshot."""
        return None

    async def reset(self, cursor: str, pages: AsyncIterator[Sequence[Any]]) -> None:
        """Replace the levels by a snapshot."""
        levels = {}
        async for page in pages:
            for level in page:
                levels[level.part_id, level.location_id] = (level.version, level.on_hand, level.reserved)
        self.levels = levels
        self.runs.append((cursor, []))

    async def apply(self, batch: ChangeBatch) -> None:
        """Apply a batch; an older version changes nothing."""
        for change in batch.changes:
            self.runs[-1][1].append(change.revision)
            if change.HasField("after"):
                key = change.part_id, change.location_id
                if change.after.version > self.levels.get(key, (0, 0, 0))[0]:
                    self.levels[key] = (change.after.version, change.after.on_hand, change.after.reserved)
        self.positions.append(batch.cursor)
