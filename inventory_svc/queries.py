"""Reads: each answers rows and the revision they are as of, from one snapshot."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from chassis.errors import ResourceRef
from inventory_svc import page_tokens
from inventory_svc.domain.reservation import Owner, Reservation, ReservationLine, ReservationState
from inventory_svc.domain.stock import Location, Movement, Origin, PublicStock, StockLevel
from inventory_svc.errors import MovementNotFound, PartNotFound
from inventory_svc.sql import reading

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    import asyncpg

    from chassis.database import Database
    from inventory_svc.domain.stock import LevelKey

SNAPSHOT_PAGE_ROWS = 2000  # about 200 KB of message
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FIRST = datetime.min.replace(tzinfo=UTC) + _MICROSECOND


@dataclass(frozen=True, slots=True)
class LevelFilter:
    """Which levels a page shows; ``None`` and empty do not filter."""

    location_id: str
    low_stock: bool | None
    in_stock: bool | None
    show_archived: bool


@dataclass(frozen=True, slots=True)
class MovementFilter:
    """Which movements a page shows; ``None`` and empty do not filter."""

    part_id: str
    location_id: str
    since: datetime | None
    until: datetime | None
    kinds: tuple[str, ...]
    actor: str
    request_id: str


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """A movement and the path by which it came, ``service`` or ``sql``."""

    movement: Movement
    source: str


class Queries:
    """The reads of the service."""

    def __init__(self, database: Database) -> None:
        """Read through the pool."""
        self._database = database

    async def levels_of(
        self, part_ids: Sequence[str], *, only_published: bool = False
    ) -> tuple[list[StockLevel], int | None]:
        """Every level of some parts, by part and location; the revision is ``None`` when there is no level at all."""
        statement = reading.LEVELS_OF_PUBLISHED_PARTS if only_published else reading.LEVELS_OF_PARTS
        rows = await self._database.pool.fetch(statement, part_ids)
        return [_level(row) for row in rows], rows[0]["revision"] if rows else None

    async def entity_ids_of(self, part_ids: Sequence[str]) -> list[str]:
        """Under which ids the log has what happens to some parts."""
        rows = await self._database.pool.fetch(reading.ENTITY_IDS_OF_PARTS, part_ids)
        return [row[0] for row in rows]

    async def list_levels(
        self, where: LevelFilter, page_size: int, page_token: str
    ) -> tuple[list[StockLevel], str, int | None]:
        """A page of levels, the token of the next one, the revision."""
        place = page_tokens.decode(page_token, where, (str, str)) or ("", "")
        rows = await self._database.pool.fetch(
            reading.LEVELS_PAGE,
            *place,
            where.location_id,
            where.low_stock,
            where.in_stock,
            where.show_archived,
            page_size + 1,
        )
        levels = [_level(row) for row in rows[:page_size]]
        token = page_tokens.encode(where, *levels[-1].key) if len(rows) > page_size else ""
        return levels, token, rows[0]["revision"] if rows else None

    async def list_public(
        self, where: LevelFilter, page_size: int, page_token: str
    ) -> tuple[list[PublicStock], str, int | None]:
        """A page of what the public sees: published parts, each summed up; the token of the next page, the revision."""
        place = page_tokens.decode(page_token, (where, "by part"), (str,)) or ("",)
        rows = await self._database.pool.fetch(
            reading.PUBLIC_PAGE, *place, where.low_stock, where.in_stock, page_size + 1
        )
        found = [_public(row) for row in rows[:page_size]]
        token = page_tokens.encode((where, "by part"), found[-1].part_id) if len(rows) > page_size else ""
        return found, token, rows[0]["revision"] if rows else None

    async def list_movements(
        self, where: MovementFilter, page_size: int, page_token: str
    ) -> tuple[list[LedgerRow], str, int | None]:
        """A page of the ledger of a part, newest first; ``PartNotFound`` when it has none at all."""
        place = page_tokens.decode(page_token, where, (int, str, int)) or (None, "", 0)
        before = None if place[0] is None else _EPOCH + int(place[0]) * _MICROSECOND
        rows = await self._database.pool.fetch(
            reading.MOVEMENTS_PAGE,
            where.part_id,
            where.location_id,
            where.since and max(where.since, _FIRST) - _MICROSECOND,
            where.until,
            list(where.kinds) or None,
            where.actor,
            where.request_id,
            page_size + 1,
            before,
            place[1],
            place[2],
        )
        if not rows and not (await self.levels_of([where.part_id]))[0]:
            message = f"There is no stock of {where.part_id}."
            raise PartNotFound(message, resource=ResourceRef("part", where.part_id))
        found = [_ledger_row(row) for row in rows[:page_size]]
        token = ""
        if len(rows) > page_size:
            last = found[-1].movement
            at = (last.occurred_at - _EPOCH) // _MICROSECOND
            token = page_tokens.encode(where, at, last.location_id, last.version)
        return found, token, rows[0]["revision"] if rows else None

    async def movement(self, key: LevelKey, version: int) -> Movement:
        """One movement; ``MovementNotFound`` when there is none."""
        row = await self._database.pool.fetchrow(reading.MOVEMENT, *key, version)
        if row is None:
            message = f"The stock of {key[0]} at {key[1]} has had no movement with version {version}."
            raise MovementNotFound(message, resource=ResourceRef("movement", f"{key[0]}/{key[1]}/{version}"))
        return _ledger_row(row).movement

    async def movement_at(self, key: LevelKey, moment: datetime) -> tuple[LedgerRow | None, int | None]:
        """The last movement of a level at or before a moment, ``None`` before its first."""
        row = await self._database.pool.fetchrow(reading.MOVEMENT_AT, *key, moment)
        if row is not None:
            return _ledger_row(row), row["revision"]
        if await self._database.pool.fetchval(reading.LEVEL_EXISTS, *key) is None:
            message = f"There is no stock of {key[0]} at {key[1]}."
            raise PartNotFound(message, resource=ResourceRef("stock_level", "/".join(key)))
        return None, None

    async def reservation(self, reservation_id: str) -> tuple[Reservation | None, int | None]:
        """One reservation with its lines."""
        rows = await self._database.pool.fetch(reading.RESERVATION, reservation_id)
        if not rows:
            return None, None
        return _reservation(rows), rows[0]["revision"]

    async def reservations_of(
        self, owners: Sequence[str], state: str, page_size: int, page_token: str
    ) -> tuple[list[Reservation], str, int | None]:
        """A page of the reservations of some owners, newest first, the token of the next one, the revision."""
        where = (*owners, state)
        place = page_tokens.decode(page_token, where, (int, str)) or (None, None)
        before = None if place[0] is None else _EPOCH + int(place[0]) * _MICROSECOND
        rows = await self._database.pool.fetch(
            reading.RESERVATIONS_PAGE, owners, state, before, place[1], page_size + 1
        )
        found = [_reservation(list(lines)) for _, lines in groupby(rows, key=itemgetter("reservation_id"))]
        token = ""
        if len(found) > page_size:
            last = found[page_size - 1]
            token = page_tokens.encode(where, (last.created_at - _EPOCH) // _MICROSECOND, last.reservation_id)
        return found[:page_size], token, rows[0]["revision"] if rows else None

    async def held_by_cart(self, cart: Owner) -> list[str]:
        """The held reservations of a guest's cart."""
        rows = await self._database.pool.fetch(reading.HELD_BY_CART, cart.identifier)
        return [row[0] for row in rows]

    async def locations(self) -> tuple[list[Location], int | None]:
        """Every location, by id."""
        rows = await self._database.pool.fetch(reading.LOCATIONS)
        found = [Location(row["location_id"], row["name"], row["archived_at"]) for row in rows]
        return found, rows[0]["revision"] if rows else None

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        """Every level as of one moment, read on a connection of its own."""
        async with (
            self._database.own_connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            revision = await connection.fetchval(reading.REVISION)
            yield Snapshot(connection, revision or 0)


class Snapshot:
    """Pages of levels that all belong to one revision."""

    def __init__(self, connection: Any, revision: int) -> None:
        """Read on a connection inside a repeatable-read transaction."""
        self._connection = connection
        self.revision = revision

    async def pages(self, start_after: LevelKey) -> AsyncIterator[list[StockLevel]]:
        """Pages in order of part and location, one in memory at a time."""
        place = start_after
        while rows := await self._connection.fetch(reading.SNAPSHOT_PAGE, *place, SNAPSHOT_PAGE_ROWS):
            levels = [_level(row) for row in rows]
            yield levels
            place = levels[-1].key

    async def public_pages(self, start_after: str) -> AsyncIterator[list[PublicStock]]:
        """Pages of published parts in order, each summed up."""
        place = start_after
        while rows := await self._connection.fetch(reading.PUBLIC_PAGE, place, None, None, SNAPSHOT_PAGE_ROWS):
            found = [_public(row) for row in rows]
            yield found
            place = found[-1].part_id


def _public(row: asyncpg.Record) -> PublicStock:
    return PublicStock(*tuple(row)[:4])


def _level(row: asyncpg.Record) -> StockLevel:
    return StockLevel(*tuple(row)[:10])


def _reservation(rows: Sequence[asyncpg.Record]) -> Reservation:
    """A reservation from its rows, one for each line."""
    first = rows[0]
    return Reservation(
        first["reservation_id"],
        ReservationState(first["state"]),
        Owner(first["owner"], first["owner_is_user"]),
        first["order_reference"],
        tuple(ReservationLine(row["part_id"], row["location_id"], row["quantity"]) for row in rows),
        first["created_at"],
        first["expires_at"],
        first["opened_from"],
        first["extensions"],
    )


def _ledger_row(row: asyncpg.Record) -> LedgerRow:
    origin = Origin(row["actor"], row["actor_name"], row["client_ip"], row["request_id"], row["traceparent"])
    movement = Movement(
        row["part_id"],
        row["location_id"],
        row["version"],
        row["kind"],
        row["on_hand_delta"],
        row["reserved_delta"],
        row["on_hand_after"],
        row["reserved_after"],
        origin,
        row["reason"],
        row["occurred_at"],
        row["reservation_id"],
        row["reverses_version"],
    )
    return LedgerRow(movement, row["source"])
