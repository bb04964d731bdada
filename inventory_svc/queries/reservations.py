"""Reads of reservations."""

from __future__ import annotations

from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from chassis.page_tokens import PageTokenCodec
from inventory_svc.domain.reservation import Owner, Reservation, ReservationLine, ReservationState
from inventory_svc.sql import STATEMENTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import asyncpg

    from chassis.database import Database

_page_tokens = PageTokenCodec()


class ReservationQueries:
    """Reads of reservations with their lines."""

    def __init__(self, database: Database) -> None:
        """Read through the pool."""
        self._database = database

    async def reservation(self, reservation_id: str) -> tuple[Reservation | None, int | None]:
        """Return one reservation and the revision; ``None`` for both when it does not exist."""
        rows = await self._database.pool.fetch(STATEMENTS["select_reservation"], reservation_id)
        if not rows:
            return None, None
        return _reservation(rows), rows[0]["revision"]

    async def reservations_of(
        self, owners: Sequence[str], state: str, page_size: int, page_token: str
    ) -> tuple[list[Reservation], str, int | None]:
        """Return a page of the reservations of some owners, newest first, the next page token, the revision."""
        where = (*owners, state)
        position = _page_tokens.decode(page_token, where, (datetime, str)) or (None, None)
        rows = await self._database.pool.fetch(
            STATEMENTS["select_reservations_page"], owners, state, *position, page_size + 1
        )
        found = [_reservation(list(lines)) for _, lines in groupby(rows, key=itemgetter("reservation_id"))]
        token = ""
        if len(found) > page_size:
            last = found[page_size - 1]
            token = _page_tokens.encode(where, last.created_at, last.reservation_id)
        return found[:page_size], token, rows[0]["revision"] if rows else None

    async def held_by_cart(self, cart: Owner) -> list[str]:
        """Return the ids of the held reservations of a guest's cart."""
        rows = await self._database.pool.fetch(STATEMENTS["select_held_by_cart"], cart.identifier)
        return [row[0] for row in rows]


def _reservation(rows: Sequence[asyncpg.Record]) -> Reservation:
    """Return a reservation from its rows, one per line."""
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
