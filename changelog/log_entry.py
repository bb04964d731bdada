"""Entries of a change log as rows of the database, and pages of them."""

# ruff: noqa: S608 - the statements are composed of the constants of this file only

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import starmap
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from chassis.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeAlias

    import asyncpg

    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | asyncpg.Pool[asyncpg.Record]

# The columns of `LogEntry`, in its order. The log's epoch is no join: that would keep a whole page and sort it.
COLUMNS = """revision, epoch, transaction_id, entity, entity_id, version, operation, before::text, after::text,
    details::text, actor, actor_name, source, client_ip, request_id, traceparent, reason, committed_at, hash,
    (SELECT epoch FROM change_log_identity)"""

# Entries after a revision, oldest first.
PAGE = f"SELECT {COLUMNS} FROM change_log WHERE revision > $1 ORDER BY revision LIMIT $2"

# Entries between two revisions, of a kind and of some ids; the function is in ``lookup_schema``.
FIND = f"SELECT {COLUMNS} FROM change_log_find($1, $2, $3, $4, $5)"

# The log's epoch alone.
_EPOCH = "SELECT epoch FROM change_log_identity"

_decode = msgspec.json.Decoder().decode


class LogEntry(msgspec.Struct, frozen=True, dict=True):
    """A committed change. The rows before and after and the details are decoded at the first access."""

    revision: int
    epoch: UUID
    transaction_id: int
    entity: str
    entity_id: str
    version: int
    operation: str
    before_json: str | None
    after_json: str | None
    details_json: str | None
    actor: str
    actor_name: str
    source: str
    client_ip: str
    request_id: str
    traceparent: str
    reason: str
    committed_at: datetime
    hash: bytes
    log_epoch: UUID  # of the log when the entry was read; `epoch` is that of when it was written

    def is_with(self, other: LogEntry) -> bool:
        """Whether both were committed in one transaction; ids repeat after a restore, in another epoch."""
        return self.transaction_id == other.transaction_id and self.epoch == other.epoch

    @cached_property
    def before(self) -> dict[str, Any] | None:
        """Return the row before, ``None`` when there was none."""
        return _decoded(self.before_json)

    @cached_property
    def after(self) -> dict[str, Any] | None:
        """Return the row after, ``None`` when there is none."""
        return _decoded(self.after_json)

    @cached_property
    def details(self) -> dict[str, Any] | None:
        """Return further data of the change, such as movements."""
        return _decoded(self.details_json)


@dataclass(frozen=True, slots=True)
class LogPage:
    """Entries, and the epoch of the log in the same snapshot."""

    epoch: UUID
    entries: list[LogEntry]
    more: bool  # whether more entries follow
    is_whole: bool  # whether the last entry's transaction ends with it


async def read_page(connection: Connection, after: int, limit: int) -> LogPage:
    """Return up to ``limit`` entries after a revision."""
    rows = await connection.fetch(PAGE, after, limit + 1)  # one more: does another follow, and of which transaction?
    if not rows:
        return LogPage(_known(await connection.fetchval(_EPOCH)), [], more=False, is_whole=True)
    entries = entries_of(rows)
    more = len(entries) > limit
    following = entries.pop() if more else None
    last = entries[-1]
    is_whole = following is None or not last.is_with(following)
    return LogPage(_known(last.log_epoch), entries, more, is_whole)


def entries_of(rows: Iterable[asyncpg.Record]) -> list[LogEntry]:
    """Return the entries in rows of ``PAGE`` or ``FIND``."""
    return list(starmap(LogEntry, rows))


def _known(epoch: UUID | None) -> UUID:
    if epoch is None:
        message = "The log has no identity."
        raise StoreUnavailable(message)
    return epoch


def _decoded(text: str | None) -> dict[str, Any] | None:
    return None if text is None else _decode(text)
