"""A request that is alone in the queue and changes one level: read, decide, write if the version is still the same.

Two round trips instead of four, and the transaction lasts for one statement. The version that was read is compared
under the row's lock. After a conflict or a rejection the request is decided again under locks: only success is final.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import asyncpg

from changelog.handoff import handing_off
from chassis.errors import PartstreamError
from chassis.store_errors import CONNECTION_LOST
from inventory_svc.commands.update_stock import update_stock_with_sync
from inventory_svc.domain.commands import AdjustStock, SetStock
from inventory_svc.domain.stock import Location, Movement, StockLevel
from inventory_svc.domain.unit_of_work import UnitOfWork
from inventory_svc.sql import STATEMENTS
from inventory_svc.store.function_parameters import Parameters, call
from inventory_svc.writer.pending_write import WriteResult

if TYPE_CHECKING:
    from collections.abc import Mapping

    from changelog.handoff import Handoff
    from inventory_svc.writer.pending_write import PendingWrite

log = logging.getLogger(__name__)

_MOVEMENT: Final = Parameters[Movement](
    {
        "n_part": "part_id",
        "n_location": "location_id",
        "n_on_hand": "on_hand_after",
        "n_reserved": "reserved_after",
        "n_version": "version",
        "n_at": "occurred_at",
        "n_by": "origin.actor_id",
        "n_by_name": "origin.actor_name",
        "n_kind": "kind",
        "n_on_hand_delta": "on_hand_delta",
        "n_client_ip": "origin.client_ip",
        "n_traceparent": "origin.traceparent",
        "n_reason": "reason",
    }
)
_NAMES: Final = ("n_principal", "n_request_id", "n_body_hash", "n_answer", *_MOVEMENT.names)

# Write one change of one level; the function returns NULL when it must be decided under locks.
WRITE_SINGLE_LEVEL: Final = handing_off(call("inventory_write_one_if", *_NAMES), len(_NAMES) + 1)


async def commit_single_level_write(
    connection: asyncpg.Connection[asyncpg.Record],
    write: PendingWrite,
    known_users: Mapping[str, str],
    handoff: Handoff,
) -> WriteResult | None:
    """Commit the write by itself; ``None``, with nothing done, when it must be decided under locks.

    Raise what the driver raises when the connection is lost or a lock is not available.
    """
    origin, command = write.origin, write.command
    if (
        not isinstance(command, AdjustStock | SetStock)
        or command.if_match is not None  # the epoch is read under the locks
        or write.began_commit  # it may be committed already: only its claim shows that
        or known_users.get(origin.actor_id) != origin.actor_name
    ):
        return None
    unit_of_work = await _read(connection, *command.key)
    if unit_of_work is None:
        return None
    try:
        message = write.encode(update_stock_with_sync(unit_of_work, command, origin))
    except PartstreamError:
        return None
    if len(unit_of_work.movements) != 1:
        return None
    response = message.SerializeToString()
    values = _MOVEMENT.values(unit_of_work.movements[0])
    write.began_commit = True
    try:
        rows = await connection.fetch(
            WRITE_SINGLE_LEVEL, *write.claim, write.body_hash, response, *values, handoff.known
        )
    except asyncpg.PostgresError as error:
        if isinstance(error, CONNECTION_LOST):
            raise
        write.began_commit = False  # rolled back for certain
        if isinstance(error, asyncpg.LockNotAvailableError):
            raise
        log.debug("single-level write falls back to locks error=%s", error)
        return None
    revision = handoff.read(rows)
    if revision is None:
        write.began_commit = False  # nothing was written
        return None
    return WriteResult(message, response, revision, replayed=False)


async def _read(connection: asyncpg.Connection[asyncpg.Record], part_id: str, location_id: str) -> UnitOfWork | None:
    """Return the level and its location, without locks; ``None`` for a missing level or overdue reservations."""
    row = await connection.fetchrow(STATEMENTS["read_level_for_write"], part_id, location_id)
    if row is None or row["has_overdue"]:
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
    return UnitOfWork(row["now_at"], levels={level.key: level}, locations={location_id: location})
