"""Expiry of overdue reservations: one leader among the replicas, with a timer set to the next expiry."""

from __future__ import annotations

import asyncio
import logging
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from inventory_svc.domain.commands import ExpireOverdue
from inventory_svc.domain.reservation_expiry import SERVICE_ORIGIN
from inventory_svc.sql import STATEMENTS
from inventory_svc.writer.pending_write import PendingWrite, UnstoredResponse

if TYPE_CHECKING:
    from chassis.database import Database
    from inventory_svc.writer.group_commit import Writer

log = logging.getLogger(__name__)

EXPIRY_LOCK = (7301, 11)
POLL_SECONDS = 0.5  # the shortest reservation lasts 1 s, so that none begins and expires between two polls


async def expire_reservations(database: Database, writer: Writer) -> None:
    """Run until cancelled: expire what is due, sleep until the next expiry."""
    while True:
        row: Any = await database.pool.fetchrow(STATEMENTS["select_next_expiry"])
        due_in = (row["next_at"] - row["now_at"]).total_seconds() if row["next_at"] else POLL_SECONDS
        if due_in > 0:
            await asyncio.sleep(min(due_in, POLL_SECONDS))
            continue
        origin = replace(SERVICE_ORIGIN, request_id=str(uuid.uuid4()))
        future = asyncio.get_running_loop().create_future()
        result = await writer.submit(PendingWrite(ExpireOverdue(), origin, b"expire", UnstoredResponse, 1, future))
        if isinstance(result.message, UnstoredResponse) and result.message.count:
            log.info("reservations expired count=%d", result.message.count)
