"""The ledger: movements, stock at a past time, reversal."""

# ruff: noqa: N802, ARG002 - the names and parameters of the contract

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from changelog.visibility import groups, redact
from chassis.caller import current_caller, require
from chassis.errors import FieldInvalid, FieldViolation
from chassis.timestamps import timestamp_of
from inventory_svc.convert import requests, responses
from inventory_svc.queries.ledger import MovementFilter
from inventory_svc.servicer.base import Base, page_size
from partstream.inventory.v1 import stock_service_pb2 as pb

if TYPE_CHECKING:
    from inventory_svc.queries.ledger import LedgerRow
    from inventory_svc.servicer.base import Context
    from partstream.inventory.v1.movement_pb2 import StockMovement


def _shown(row: LedgerRow) -> StockMovement:
    """Return a movement without the fields that the caller must not read."""
    message = responses.movement(row.movement, row.source)
    redact(message, groups(current_caller(), "inventory"))
    return message


class Ledger(Base):
    """Methods of the ledger. They require `stock:read`; a reversal requires `stock:write`."""

    async def ListMovements(self, request: pb.ListMovementsRequest, context: Context) -> pb.ListMovementsResponse:
        """Return a page of the ledger of a part, newest first."""
        require("stock:read")
        await self.feed.wait_for(request.min_revision_token)
        where = MovementFilter(
            request.part_id,
            request.location_id,
            timestamp_of(request.since, "since") if request.HasField("since") else None,
            timestamp_of(request.until, "until") if request.HasField("until") else None,
            requests.kinds(request.kinds),
            request.actor,
            requests.normal_id(request.caused_by_request_id),
        )
        found, token, revision = await self.queries.list_movements(
            where, page_size(request.page_size), request.page_token
        )
        return pb.ListMovementsResponse(
            movements=[_shown(item) for item in found],
            next_page_token=token,
            revision_token=self.feed.token_for(revision),
        )

    async def GetStockAtTime(self, request: pb.GetStockAtTimeRequest, context: Context) -> pb.GetStockAtTimeResponse:
        """Return the last movement of a level at or before a timestamp."""
        require("stock:read")
        time = timestamp_of(request.time, "time")
        if time > datetime.now(UTC):
            message = "must not be in the future"
            raise FieldInvalid(f"time {message}", fields=(FieldViolation("time", message),))
        found, revision = await self.queries.movement_at(requests.key(request.part_id, request.location_id), time)
        return pb.GetStockAtTimeResponse(
            movement=_shown(found) if found else None,
            revision_token=self.feed.token_for(revision),
        )

    async def ReverseMovement(self, request: pb.ReverseMovementRequest, context: Context) -> pb.ReverseMovementResponse:
        """Reverse a movement by a compensating one."""
        require("stock:write")
        key = requests.key(request.part_id, request.location_id)
        movement = await self.queries.movement(key, request.version)
        command = requests.reverse_movement(request, movement)
        return await self.write(request, command, pb.ReverseMovementResponse, responses.reversal_response)
