"""A request that is alone in the queue and changes one level: read, decide, and write if nobody was faster.

Two round trips instead of four, and the transaction lasts for one statement. The version that was read is compared
under the row's lock. Whatever comes between, and whatever is refused, is decided again under locks: only success is
final here.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg

from chassis.errors import PartstreamError
from chassis.store_errors import CONNECTION_LOST
from inventory_svc.domain.book import Book
from inventory_svc.domain.decide import decide
from inventory_svc.domain.intents import AdjustStock, SetStock
from inventory_svc.domain.stock import Location, StockLevel
from inventory_svc.sql.writing import READ_ONE, WRITE_ONE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from changelog.handoff import Handoff
    from inventory_svc.job import Job, Serialisable

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Committed:
    """What was done: the answer, its bytes, and the revision."""

    message: Serialisable
    kept: bytes
    revision: int


async def commit_lone_change(
    connection: asyncpg.Connection[asyncpg.Record], job: Job, known_users: Mapping[str, str], handoff: Handoff
) -> Committed | None:
    """Commit the job by itself; ``None``, with nothing done, when it has to be decided under locks.

    Raises what the driver raises when the connection is lost or a lock cannot be had.
    """
    origin, intent = job.origin, job.intent
    if (
        not isinstance(intent, AdjustStock | SetStock)
        or intent.if_match is not None  # the epoch is read under the locks
        or job.began_commit  # it may be committed already: only its claim can tell
        or known_users.get(origin.actor_id) != origin.actor_name
    ):
        return None
    book = await _read(connection, *intent.key)
    if book is None:
        return None
    try:
        message = job.encode(decide(book, intent, origin))
    except PartstreamError:
        return None
    if len(book.movements) != 1:
        return None
    kept = message.SerializeToString()
    job.began_commit = True
    try:
        rows = await connection.fetch(WRITE_ONE, *job.claim, job.body_hash, kept, *_columns(book), handoff.known)
    except asyncpg.PostgresError as error:
        if isinstance(error, CONNECTION_LOST):
            raise
        job.began_commit = False  # rolled back for certain
        if isinstance(error, asyncpg.LockNotAvailableError):
            raise
        log.debug("a lone change is decided again under locks: %s", error)
        return None
    revision = handoff.read(rows)
    if revision is None:
        job.began_commit = False  # nothing was written
        return None
    return Committed(message, kept, revision)


async def _read(connection: asyncpg.Connection[asyncpg.Record], part_id: str, location_id: str) -> Book | None:
    """The level and its location, without locks; ``None`` when there is none, or a hold's time is over."""
    row = await connection.fetchrow(READ_ONE, part_id, location_id)
    if row is None:
        return None
    if row["has_overdue"]:
        return None
    level = StockLevel(
        part_id,
        location_id,
        row["on_hand"],
        row["reserved"],
        row["reorder_point"],
        row["version"],
        row["updated_at"],
        str(row["last_updated_by"]),
        row["last_updated_by_name"],
        row["archived_at"],
    )
    location = Location(location_id, row["location_name"], row["location_archived_at"])
    return Book(row["now_at"], levels={level.key: level}, locations={location_id: location})


def _columns(book: Book) -> tuple[object, ...]:
    (movement,) = book.movements
    return (
        movement.part_id,
        movement.location_id,
        movement.on_hand_after,
        movement.reserved_after,
        movement.version,
        movement.occurred_at,
        movement.origin.actor_id,
        movement.origin.actor_name,
        movement.kind,
        movement.on_hand_delta,
        movement.origin.client_ip,
        movement.origin.traceparent,
        movement.reason,
    )
