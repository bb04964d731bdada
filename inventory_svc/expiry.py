"""Ending holds on time: one owner among the replicas, with a timer set to the next end."""

from __future__ import annotations

import asyncio
import logging
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from inventory_svc.domain.intents import ExpireOverdue
from inventory_svc.domain.reservation_expiry import SERVICE_ORIGIN
from inventory_svc.job import Job, NothingKept
from inventory_svc.sql.writing import NEXT_EXPIRY

if TYPE_CHECKING:
    from chassis.database import Database
    from inventory_svc.writer import Writer

log = logging.getLogger(__name__)

EXPIRY_LOCK = (7301, 11)
LOOK_SECONDS = 0.5  # the shortest hold is 1 s, so that none can begin and end between two looks


async def expire_holds(database: Database, writer: Writer) -> None:
    """Work until cancelled: end what is due, sleep until the next is."""
    while True:
        row: Any = await database.pool.fetchrow(NEXT_EXPIRY)
        due_in = (row["next_at"] - row["now_at"]).total_seconds() if row["next_at"] else LOOK_SECONDS
        if due_in > 0:
            await asyncio.sleep(min(due_in, LOOK_SECONDS))
            continue
        origin = replace(SERVICE_ORIGIN, request_id=str(uuid.uuid4()))
        future = asyncio.get_running_loop().create_future()
        answer = await writer.submit(Job(ExpireOverdue(), origin, b"expire", NothingKept, 1, future))
        if isinstance(answer.message, NothingKept) and answer.message.count:
            log.info("%d holds ended, their time was over", answer.message.count)
