"""The properties of every recorder, checked against the log itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg

from changelog import cursor as cursors
from changelog.integrity import verify_chain
from tests.chaos.stream.recorders import Seen
from tests.chaos.stream.storm import PARTS

if TYPE_CHECKING:
    from tests.chaos.stream.recorders import Message, Recorder, StateSink

# Every entry ever written: those that retention has dropped were archived before.
EVERYTHING = """
SELECT revision, transaction_id, epoch, entity, entity_id, version, after::text, details::text FROM change_log
UNION SELECT revision, transaction_id, epoch, entity, entity_id, version, after, details FROM archived_entries
ORDER BY revision
"""

HEAD = "SELECT epoch, (SELECT max(revision) FROM change_log) AS revision FROM change_log_identity"
LEVELS = "SELECT part_id, location_id, version, on_hand, reserved FROM stock_level"

PUBLISHED = frozenset(PARTS)  # parts created by SQL in a scenario are not


@dataclass(frozen=True, slots=True)
class Truth:
    """One entry of the log."""

    seen: Seen
    transaction: tuple[str, int]
    keys: frozenset[str]


@dataclass(frozen=True, slots=True)
class Log:
    """The whole log at the end of a scenario."""

    entries: dict[int, Truth]
    head: int
    dropped_to: int

    def is_boundary(self, revision: int) -> bool:
        """Whether a transaction ends with a revision."""
        if revision in (0, self.head):
            return True
        return self.entries[revision].transaction != self.entries[revision + 1].transaction

    def wanted(self, recorder: Recorder, revision: int) -> bool:
        """Whether a recorder must receive a revision."""
        entry = self.entries[revision]
        if recorder.is_public and not (entry.seen.entity == "stock_level" and entry.keys <= PUBLISHED):
            return False
        return not recorder.part_ids or not entry.keys.isdisjoint(recorder.part_ids)


async def read_log(dsn: str) -> Log:
    """Return the log; it must be gap-free and its hash chain valid."""
    connection = await asyncpg.connect(dsn)
    try:
        verdict = await verify_chain(connection)
        assert verdict.first_bad_revision is None, verdict
        entries = {row["revision"]: _truth(row) for row in await connection.fetch(EVERYTHING)}
        dropped_to = await connection.fetchval("SELECT coalesce(max(last_revision), 0) FROM change_log_compaction")
    finally:
        await connection.close()
    assert list(entries) == list(range(1, len(entries) + 1)), "the log has a gap"
    return Log(entries, len(entries), dropped_to)


async def read_levels(dsn: str) -> tuple[cursors.Position, dict[tuple[str, str], tuple[int, int, int]]]:
    """Return every level and the log's head, in one snapshot."""
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            head = await connection.fetchrow(HEAD)
            rows = await connection.fetch(LEVELS)
    finally:
        await connection.close()
    levels = {(row["part_id"], row["location_id"]): (row["version"], row["on_hand"], row["reserved"]) for row in rows}
    return cursors.Position("inventory", head["epoch"], head["revision"]), levels


def _truth(row: asyncpg.Record) -> Truth:
    after, details = (json.loads(row[name] or "{}") for name in ("after", "details"))
    keys: frozenset[str] = frozenset()
    on_hand = None
    if row["entity"] == "stock_level":
        keys = frozenset((row["entity_id"].partition("/")[0],))
        on_hand = after["on_hand"]
    elif row["entity"] == "reservation":
        keys = frozenset(line["part_id"] for line in details["lines"])
    seen = Seen(row["revision"], row["entity"], row["entity_id"], row["version"], on_hand)
    return Truth(seen, (str(row["epoch"]), row["transaction_id"]), keys)


def check_recorder(recorder: Recorder, log: Log) -> None:
    """Ordered, unique, reliable, atomic, resumable, bookmarkable."""
    jumps = list(recorder.jumps)
    before: str | None = None
    for session in recorder.sessions:
        if before is not None and session.cursor != before:
            jump = jumps.pop(0)
            assert jump[:2] == (before, session.cursor), f"{recorder.name} resumed from a cursor that was never sent"
            _check_jump(jump, log)
        before = _check_session(recorder, session.cursor, session.messages, log)


def _check_jump(jump: tuple[str, str, str], log: Log) -> None:
    start, end = (_position(text).revision for text in jump[:2])
    if jump[2] == "CURSOR_COMPACTED":
        assert start < end <= log.dropped_to, f"{jump}: the entries are not dropped"
    else:
        assert end <= start, f"{jump}: a new epoch must not hide entries"


def _check_session(recorder: Recorder, cursor: str, messages: list[Message], log: Log) -> str:
    """Check a connection: each message has exactly the changes between the previous cursor and its own."""
    at = _position(cursor)
    for number, message in enumerate(messages):
        where = f"{recorder.name}, message {number} after {cursor} ({at.revision} → {message.revision})"
        assert message.epoch == at.epoch, f"{where}: histories are mixed"
        assert message.revision >= at.revision, f"{where}: the cursor went back"
        due = [
            recorder.expected(log.entries[revision].seen)
            for revision in range(at.revision + 1, message.revision + 1)
            if log.wanted(recorder, revision)
        ]
        assert list(message.changes) == due, f"{where}: expected {due}, received {message.changes}"
        if message.changes:
            assert message.fragment != log.is_boundary(message.revision), (
                f"{where}: a transaction is split without a flag"
            )
        at = cursors.Position("inventory", message.epoch, message.revision)
    return cursors.encode(at) if messages else cursor


def check_state(sink: StateSink, levels: dict[tuple[str, str], tuple[int, int, int]]) -> None:
    """Check that a follower's state is the database's, and that its revisions have no gap and no duplicate."""
    for cursor, revisions in sink.runs:
        start = _position(cursor).revision
        assert revisions == list(range(start + 1, start + 1 + len(revisions))), f"after {cursor}"
    different = {key: (sink.levels.get(key), level) for key, level in levels.items() if sink.levels.get(key) != level}
    assert not different, f"the follower's state is not the database's: {dict(list(different.items())[:5])}"


def _position(text: str) -> cursors.Position:
    position = cursors.position_in(text, "inventory")
    assert position is not None
    return position
