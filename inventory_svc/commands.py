"""What the writer does to the database: open a book under locks, and write what was decided in it.

Both take a connection inside a transaction and touch it with as few round trips as there are steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from changelog.handoff import ENTRIES_AT_MOST
from changelog.if_match import present_epochs
from inventory_svc.domain.book import Book
from inventory_svc.domain.reservation import Owner, Reservation, ReservationLine, ReservationState
from inventory_svc.domain.stock import Location, StockLevel
from inventory_svc.sql.visibility import PUBLISHED
from inventory_svc.sql.writing import (
    EXISTING_LEVELS,
    INSERT_LOCATION,
    OPEN,
    UNLOCKED_LEVELS,
    UPDATE_LOCATION,
    UPSERT_USERS,
    WRITE,
    WRITE_HOLDS,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import asyncpg

    from changelog.handoff import Handoff
    from inventory_svc.domain.book import Change
    from inventory_svc.domain.intents import Needs
    from inventory_svc.domain.stock import Movement, Origin
    from inventory_svc.job import Claim


@dataclass(frozen=True, slots=True)
class Taken:
    """A request id that its principal claimed before: by what body, and the stored response."""

    body_hash: bytes
    response: bytes
    revision: int | None


@dataclass(frozen=True, slots=True)
class Opened:
    """A book to decide in, and the claims that came too late."""

    book: Book
    taken: Mapping[Claim, Taken]


async def open_book(
    connection: asyncpg.Connection[asyncpg.Record], claims: Mapping[Claim, bytes], needs: Sequence[Needs]
) -> Opened:
    """Claim request ids (claim → hash of the body), lock everything the decisions need, and read it."""
    levels = sorted({key for need in needs for key in need.levels})
    row = await connection.fetchrow(
        OPEN,
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
        message = "inventory_open answered nothing"
        raise RuntimeError(message)
    book = Book(
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
        book.published = await _published(connection, needs, book)
    if any(need.epoch for need in needs):
        book.epochs = await present_epochs(connection)
    taken = {
        (item[0], str(item[1])): Taken(item[2], item[3] or b"", item[4])
        for item in _rows(row, "taken_principal", "taken_id", "taken_hash", "taken_response", "taken_revision")
    }
    return Opened(book, taken)


async def _published(
    connection: asyncpg.Connection[asyncpg.Record], needs: Sequence[Needs], book: Book
) -> frozenset[str]:
    named = {part_id for need in needs for part_id in need.published or ()}
    held = {line.part_id for reservation in book.reservations.values() for line in reservation.lines}
    return frozenset(row[0] for row in await connection.fetch(PUBLISHED, list(named | held)))


def _rows(row: asyncpg.Record, first: str, *others: str) -> Iterable[tuple[Any, ...]]:
    """Columns of arrays as rows; nothing when the arrays are absent."""
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
    """Those of the levels needed that somebody else has locked at this moment. Locks nothing itself for longer."""
    levels = sorted({key for need in needs for key in need.levels})
    columns = [key[0] for key in levels], [key[1] for key in levels]
    there = await connection.fetch(EXISTING_LEVELS, *columns)
    free = await connection.fetch(UNLOCKED_LEVELS, *columns)
    return frozenset((row[0], row[1]) for row in there) - frozenset((row[0], row[1]) for row in free)


async def upsert_users(connection: asyncpg.Connection[asyncpg.Record], names: Mapping[str, str]) -> None:
    """Make sure that everybody who writes has a row, under the present name; in one order for all writers."""
    ids = sorted(names)
    await connection.execute(UPSERT_USERS, ids, [names[user_id] for user_id in ids])


async def write_book(
    connection: asyncpg.Connection[asyncpg.Record],
    book: Book,
    *,
    refused: Sequence[Claim],
    answers: Mapping[Claim, bytes],
    handoff: Handoff,
) -> int | None:
    """Write what was decided, seal the change log, keep the answers; the revision, ``None`` if nothing changed.

    The claims of refused requests are given up, so that a retry is decided anew. ``handoff`` keeps the log's entries.
    """
    if book.changed_reservations:
        await _write_holds(connection, book)
    for change in book.changed_locations.values():
        await _write_location(connection, book, change)
    kept = [
        [claim[0] for claim in refused],
        [claim[1] for claim in refused],
        [claim[0] for claim in answers],
        [claim[1] for claim in answers],
        list(answers.values()),
    ]
    known = handoff.known if len(book.movements) <= ENTRIES_AT_MOST else 0  # the more there is, the less it hurries
    rows = await connection.fetch(WRITE, *_level_columns(book), *_movement_columns(book.movements), *kept, known)
    return handoff.read(rows)


def _level_columns(book: Book) -> list[list[Any]]:
    changed = book.changed_levels
    after = [book.levels[key] for key in changed]
    return [
        [level.part_id for level in after],
        [level.location_id for level in after],
        [before.version if before else 0 for before in changed.values()],
        [level.on_hand for level in after],
        [level.reserved for level in after],
        [level.reorder_point for level in after],
        [level.version for level in after],
        [level.updated_at for level in after],
        [level.last_updated_by for level in after],
        [level.last_updated_by_name for level in after],
        [level.archived_at for level in after],
    ]


def _movement_columns(movements: Sequence[Movement]) -> list[list[Any]]:
    return [
        [item.part_id for item in movements],
        [item.location_id for item in movements],
        [item.version for item in movements],
        [item.kind for item in movements],
        [item.on_hand_delta for item in movements],
        [item.reserved_delta for item in movements],
        [item.on_hand_after for item in movements],
        [item.reserved_after for item in movements],
        [item.origin.actor_id for item in movements],
        [item.origin.actor_name for item in movements],
        [item.origin.client_ip for item in movements],
        [item.origin.request_id for item in movements],
        [item.origin.traceparent for item in movements],
        [item.reason for item in movements],
        [item.reservation_id for item in movements],
        [item.reverses_version for item in movements],
        [item.occurred_at for item in movements],
    ]


def _origin_columns(changes: Sequence[Change[Reservation]]) -> list[list[str]]:
    return [
        [change.origin.actor_id for change in changes],
        [change.origin.actor_name for change in changes],
        [change.origin.client_ip for change in changes],
        [change.origin.request_id for change in changes],
        [change.origin.traceparent for change in changes],
    ]


async def _write_holds(connection: asyncpg.Connection[asyncpg.Record], book: Book) -> None:
    changes = book.changed_reservations.values()
    made = [change for change in changes if change.before is None]
    changed = sorted((change for change in changes if change.before), key=lambda change: change.after.reservation_id)
    new = [change.after for change in made]
    lines = [(item.reservation_id, number, line) for item in new for number, line in enumerate(item.lines, 1)]
    await connection.execute(
        WRITE_HOLDS,
        [item.reservation_id for item in new],
        [item.owner.identifier for item in new],
        [item.owner.is_user for item in new],
        [item.order_reference for item in new],
        [len(item.lines) for item in new],
        [item.created_at for item in new],
        [item.expires_at for item in new],
        [item.opened_from for item in new],
        [item.extensions for item in new],
        *_origin_columns(made),
        [reservation_id for reservation_id, _, _ in lines],
        [number for _, number, _ in lines],
        [line.part_id for _, _, line in lines],
        [line.location_id for _, _, line in lines],
        [line.quantity for _, _, line in lines],
        [change.after.reservation_id for change in changed],
        [change.after.state for change in changed],
        [change.after.expires_at for change in changed],
        [change.after.owner.identifier for change in changed],
        [change.after.owner.is_user for change in changed],
        [change.after.extensions for change in changed],
        *_origin_columns(changed),
        book.now,
    )


async def _write_location(connection: asyncpg.Connection[asyncpg.Record], book: Book, change: Change[Location]) -> None:
    after, origin = change.after, change.origin
    by: tuple[Any, ...] = _provenance(book, origin)
    if change.before is None:
        await connection.execute(INSERT_LOCATION, after.location_id, after.name, *by)
    if after.archived_at is not None:
        await connection.execute(UPDATE_LOCATION, after.location_id, after.archived_at, *by)


def _provenance(book: Book, origin: Origin) -> tuple[Any, ...]:
    return book.now, origin.actor_id, origin.actor_name, origin.client_ip, origin.request_id, origin.traceparent
