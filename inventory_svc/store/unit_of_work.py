"""Units of work in the database: open one under locks, and write what was decided in it.

Both functions take a connection inside a transaction and use as few round trips as there are steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from changelog.handoff import ENTRIES_AT_MOST, handing_off
from changelog.if_match import present_epochs
from inventory_svc.domain.reservation import Owner, Reservation, ReservationLine, ReservationState
from inventory_svc.domain.stock import Location, Movement, StockLevel
from inventory_svc.domain.unit_of_work import UnitOfWork
from inventory_svc.sql import STATEMENTS
from inventory_svc.store.function_parameters import Parameters, call

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import asyncpg

    from changelog.handoff import Handoff
    from inventory_svc.domain.commands import Needs
    from inventory_svc.domain.unit_of_work import Change


Claim = tuple[str, str]  # a principal and its request id: two principals may use the same id

_OLD_VERSIONS: Final = Parameters["StockLevel | None"]({"l_old_version": lambda level: level.version if level else 0})
_LEVELS: Final = Parameters["StockLevel"](
    {
        "l_part": "part_id",
        "l_location": "location_id",
        "l_on_hand": "on_hand",
        "l_reserved": "reserved",
        "l_reorder_point": "reorder_point",
        "l_version": "version",
        "l_updated_at": "updated_at",
        "l_by": "last_updated_by",
        "l_by_name": "last_updated_by_name",
        "l_archived_at": "archived_at",
    }
)
_MOVEMENTS: Final = Parameters[Movement](
    {
        "m_part": "part_id",
        "m_location": "location_id",
        "m_version": "version",
        "m_kind": "kind",
        "m_on_hand_delta": "on_hand_delta",
        "m_reserved_delta": "reserved_delta",
        "m_on_hand_after": "on_hand_after",
        "m_reserved_after": "reserved_after",
        "m_actor": "origin.actor_id",
        "m_actor_name": "origin.actor_name",
        "m_client_ip": "origin.client_ip",
        "m_request_id": "origin.request_id",
        "m_traceparent": "origin.traceparent",
        "m_reason": "reason",
        "m_reservation_id": "reservation_id",
        "m_reverses_version": "reverses_version",
        "m_occurred_at": "occurred_at",
    }
)
_REJECTED_CLAIMS: Final = Parameters["Claim"]({"refused_principals": itemgetter(0), "refused_ids": itemgetter(1)})
_RESPONSES: Final = Parameters["tuple[Claim, bytes]"](
    {
        "answer_principals": lambda response: response[0][0],
        "answer_ids": lambda response: response[0][1],
        "answers": itemgetter(1),
    }
)
_CREATED_RESERVATIONS: Final = Parameters["Change[Reservation]"](
    {
        "n_id": "after.reservation_id",
        "n_owner": "after.owner.identifier",
        "n_owner_is_user": "after.owner.is_user",
        "n_order_reference": "after.order_reference",
        "n_line_count": lambda change: len(change.after.lines),
        "n_created_at": "after.created_at",
        "n_expires_at": "after.expires_at",
        "n_opened_from": "after.opened_from",
        "n_extensions": "after.extensions",
        "n_by": "origin.actor_id",
        "n_by_name": "origin.actor_name",
        "n_client_ip": "origin.client_ip",
        "n_request_id": "origin.request_id",
        "n_traceparent": "origin.traceparent",
    }
)
_CREATED_LINES: Final = Parameters["tuple[str, int, ReservationLine]"](
    {
        "nl_id": itemgetter(0),
        "nl_position": itemgetter(1),
        "nl_part": lambda row: row[2].part_id,
        "nl_location": lambda row: row[2].location_id,
        "nl_quantity": lambda row: row[2].quantity,
    }
)
_CHANGED_RESERVATIONS: Final = Parameters["Change[Reservation]"](
    {
        "c_id": "after.reservation_id",
        "c_state": "after.state",
        "c_expires_at": "after.expires_at",
        "c_owner": "after.owner.identifier",
        "c_owner_is_user": "after.owner.is_user",
        "c_extensions": "after.extensions",
        "c_by": "origin.actor_id",
        "c_by_name": "origin.actor_name",
        "c_client_ip": "origin.client_ip",
        "c_request_id": "origin.request_id",
        "c_traceparent": "origin.traceparent",
    }
)

# Write levels and ledger, seal the change log, store the responses; the result contains the written entries.
_WRITE_NAMES = (
    *_OLD_VERSIONS.names,
    *_LEVELS.names,
    *_MOVEMENTS.names,
    *_REJECTED_CLAIMS.names,
    *_RESPONSES.names,
)
WRITE_UNIT_OF_WORK: Final = handing_off(call("inventory_write", *_WRITE_NAMES), len(_WRITE_NAMES) + 1)

# Write the reservations that were created or changed.
WRITE_RESERVATIONS: Final = "SELECT " + call(
    "inventory_write_holds",
    *_CREATED_RESERVATIONS.names,
    *_CREATED_LINES.names,
    *_CHANGED_RESERVATIONS.names,
    "at_time",
)


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """A request id that its principal claimed before: the hash of its body, and the stored response."""

    body_hash: bytes
    response: bytes
    revision: int | None


@dataclass(frozen=True, slots=True)
class OpenedUnitOfWork:
    """A unit of work to decide in, and the claims that existed before."""

    unit_of_work: UnitOfWork
    stored: Mapping[Claim, StoredRequest]


async def open_unit_of_work(
    connection: asyncpg.Connection[asyncpg.Record], claims: Mapping[Claim, bytes], needs: Sequence[Needs]
) -> OpenedUnitOfWork:
    """Claim request ids (claim → hash of the body), lock everything the decisions need, and read it."""
    levels = sorted({key for need in needs for key in need.levels})
    row = await connection.fetchrow(
        STATEMENTS["open_unit_of_work"],
        [claim[0] for claim in claims],
        [claim[1] for claim in claims],
        list(claims.values()),
        [key[0] for key in levels],
        [key[1] for key in levels],
        sorted({part for need in needs for part in need.parts}),
        sorted({reservation for need in needs for reservation in need.reservations}),
        sorted({location for need in needs for location in need.locations}),
        any(need.all_overdue for need in needs),
        sorted({guest for need in needs for guest in need.guests}),
        sorted({part for need in needs for part in need.counted_parts}),
    )
    if row is None:
        message = "inventory_open returned no row"
        raise RuntimeError(message)
    unit_of_work = UnitOfWork(
        now=row["now_at"],
        levels=_levels(row),
        reservations=_reservations(row),
        locations={item[0]: Location(*item) for item in _rows(row, "p_location", "p_name", "p_archived_at")},
        open_reservations=dict(_rows(row, "g_guest", "g_open")),
        held_units={
            (guest, (part_id, location_id)): quantity
            for guest, part_id, location_id, quantity in _rows(row, "gl_guest", "gl_part", "gl_location", "gl_quantity")
        },
    )
    if any(need.published is not None for need in needs):
        unit_of_work.published = await _published(connection, needs, unit_of_work)
    if any(need.epoch for need in needs):
        unit_of_work.epochs = await present_epochs(connection)
    stored = {
        (item[0], str(item[1])): StoredRequest(item[2], item[3] or b"", item[4])
        for item in _rows(row, "taken_principal", "taken_id", "taken_hash", "taken_response", "taken_revision")
    }
    return OpenedUnitOfWork(unit_of_work, stored)


async def _published(
    connection: asyncpg.Connection[asyncpg.Record], needs: Sequence[Needs], unit_of_work: UnitOfWork
) -> frozenset[str]:
    named = {part_id for need in needs for part_id in need.published or ()}
    held = {line.part_id for reservation in unit_of_work.reservations.values() for line in reservation.lines}
    return frozenset(row[0] for row in await connection.fetch(STATEMENTS["select_published"], list(named | held)))


def _rows(row: asyncpg.Record, first: str, *others: str) -> Iterable[tuple[Any, ...]]:
    """Return columns of arrays as rows; none when the arrays are NULL."""
    if row[first] is None:
        return ()
    return zip(row[first], *(row[name] for name in others), strict=True)


def _levels(row: asyncpg.Record) -> dict[tuple[str, str], StockLevel]:
    columns = _rows(
        row,
        "l_part",
        "l_location",
        "l_on_hand",
        "l_reserved",
        "l_reorder_point",
        "l_version",
        "l_updated_at",
        "l_by",
        "l_by_name",
        "l_archived_at",
    )
    return {
        (item[0], item[1]): StockLevel(
            item[0], item[1], item[2], item[3], item[4], item[5], item[6], str(item[7]), item[8], item[9]
        )
        for item in columns
    }


def _reservations(row: asyncpg.Record) -> dict[str, Reservation]:
    lines: dict[str, list[ReservationLine]] = {}
    for reservation_id, *line in _rows(row, "rl_id", "rl_part", "rl_location", "rl_quantity"):
        lines.setdefault(str(reservation_id), []).append(ReservationLine(*line))
    columns = _rows(
        row,
        "r_id",
        "r_state",
        "r_owner",
        "r_owner_is_user",
        "r_order_reference",
        "r_created_at",
        "r_expires_at",
        "r_opened_from",
        "r_extensions",
    )
    found = {}
    for raw_id, state, owner, owner_is_user, order_reference, created_at, expires_at, *rest in columns:
        key = str(raw_id)
        found[key] = Reservation(
            key,
            ReservationState(state),
            Owner(owner, owner_is_user),
            order_reference,
            tuple(lines.get(key, ())),
            created_at,
            expires_at,
            *rest,
        )
    return found


async def locked_levels(
    connection: asyncpg.Connection[asyncpg.Record], needs: Sequence[Needs]
) -> frozenset[tuple[str, str]]:
    """Return those of the needed levels that another transaction has locked now; lock none beyond the statement."""
    levels = sorted({key for need in needs for key in need.levels})
    columns = [key[0] for key in levels], [key[1] for key in levels]
    existing = await connection.fetch(STATEMENTS["select_existing_levels"], *columns)
    unlocked = await connection.fetch(STATEMENTS["select_unlocked_levels"], *columns)
    return frozenset((row[0], row[1]) for row in existing) - frozenset((row[0], row[1]) for row in unlocked)


async def upsert_users(connection: asyncpg.Connection[asyncpg.Record], names: Mapping[str, str]) -> None:
    """Store the current names of the users who write, in one order for all writers."""
    ids = sorted(names)
    await connection.execute(STATEMENTS["upsert_users"], ids, [names[user_id] for user_id in ids])


async def write_unit_of_work(
    connection: asyncpg.Connection[asyncpg.Record],
    unit_of_work: UnitOfWork,
    *,
    rejected: Sequence[Claim],
    responses: Mapping[Claim, bytes],
    handoff: Handoff,
) -> int | None:
    """Write what was decided, seal the change log, store the responses; return the revision, ``None`` if unchanged.

    The claims of rejected requests are released, so that a retry is decided again. ``handoff`` holds the log's entries.
    """
    if unit_of_work.changed_reservations:
        await _write_reservations(connection, unit_of_work)
    for change in unit_of_work.changed_locations.values():
        await _write_location(connection, unit_of_work, change)
    changed, movements = unit_of_work.changed_levels, unit_of_work.movements
    known = handoff.known if len(movements) <= ENTRIES_AT_MOST else 0  # large batches are less urgent
    rows = await connection.fetch(
        WRITE_UNIT_OF_WORK,
        *_OLD_VERSIONS.arrays(changed.values()),
        *_LEVELS.arrays([unit_of_work.levels[key] for key in changed]),
        *_MOVEMENTS.arrays(movements),
        *_REJECTED_CLAIMS.arrays(rejected),
        *_RESPONSES.arrays(responses.items()),
        known,
    )
    return handoff.read(rows)


async def _write_reservations(connection: asyncpg.Connection[asyncpg.Record], unit_of_work: UnitOfWork) -> None:
    changes = unit_of_work.changed_reservations.values()
    created = [change for change in changes if change.before is None]
    changed = sorted((change for change in changes if change.before), key=lambda change: change.after.reservation_id)
    lines = [
        (change.after.reservation_id, number, line)
        for change in created
        for number, line in enumerate(change.after.lines, 1)
    ]
    await connection.execute(
        WRITE_RESERVATIONS,
        *_CREATED_RESERVATIONS.arrays(created),
        *_CREATED_LINES.arrays(lines),
        *_CHANGED_RESERVATIONS.arrays(changed),
        unit_of_work.now,
    )


async def _write_location(
    connection: asyncpg.Connection[asyncpg.Record], unit_of_work: UnitOfWork, change: Change[Location]
) -> None:
    after, origin = change.after, change.origin
    provenance = (
        unit_of_work.now,
        origin.actor_id,
        origin.actor_name,
        origin.client_ip,
        origin.request_id,
        origin.traceparent,
    )
    if change.before is None:
        await connection.execute(STATEMENTS["insert_location"], after.location_id, after.name, *provenance)
    if after.archived_at is not None:
        await connection.execute(STATEMENTS["archive_location"], after.location_id, after.archived_at, *provenance)
