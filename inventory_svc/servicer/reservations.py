"""Reservations: open to everybody for their own holds."""

# ruff: noqa: N802, ARG002 - the names and parameters of the contract

from __future__ import annotations

from typing import TYPE_CHECKING

from chassis.caller import current_caller
from chassis.errors import PartstreamError
from inventory_svc.convert import answers, requests
from inventory_svc.domain.reservation_rules import require_owner
from inventory_svc.servicer.base import Base
from partstream.inventory.v1 import stock_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inventory_svc.domain import intents
    from inventory_svc.domain.reservation import Reservation
    from inventory_svc.servicer.base import Context


def _created(held: Reservation) -> pb.CreateReservationResponse:
    return pb.CreateReservationResponse(reservation=answers.reservation(held))


class Reservations(Base):
    """Holds of stock for a time."""

    async def CreateReservation(
        self, request: pb.CreateReservationRequest, context: Context
    ) -> pb.CreateReservationResponse:
        """Hold every line or none."""
        intent = requests.create_reservation(request, current_caller())
        await self._settle([intent])
        return await self.write(request, intent, pb.CreateReservationResponse, _created, weight=len(intent.lines))

    async def BatchCreateReservations(
        self, request: pb.BatchCreateReservationsRequest, context: Context
    ) -> pb.BatchCreateReservationsResponse:
        """Hold for many owners, each hold by itself."""
        caller = current_caller()
        wanted = [(item, requests.create_reservation(item, caller), len(item.lines)) for item in request.reservations]
        await self._settle([intent for _, intent, _ in wanted])
        results, token = await self.write_each(wanted, pb.CreateReservationResponse, _created)
        return pb.BatchCreateReservationsResponse(
            results=[
                answers.refused_reservation(result)
                if isinstance(result, PartstreamError)
                else pb.ReservationResult(reservation=result.message.reservation, replayed=result.replayed)
                for result in results
            ],
            revision_token=token,
        )

    async def ExtendReservation(
        self, request: pb.ExtendReservationRequest, context: Context
    ) -> pb.ExtendReservationResponse:
        """Give a hold a new end."""
        intent = requests.extend_reservation(request, current_caller())
        await self._settle_lines(intent)

        def respond(held: Reservation) -> pb.ExtendReservationResponse:
            return pb.ExtendReservationResponse(reservation=answers.reservation(held))

        return await self.write(request, intent, pb.ExtendReservationResponse, respond)

    async def CommitReservation(
        self, request: pb.CommitReservationRequest, context: Context
    ) -> pb.CommitReservationResponse:
        """Ship what is held."""
        intent = requests.commit_reservation(request, current_caller())
        await self._settle_lines(intent)

        def respond(held: Reservation) -> pb.CommitReservationResponse:
            return pb.CommitReservationResponse(reservation=answers.reservation(held))

        return await self.write(request, intent, pb.CommitReservationResponse, respond)

    async def ReleaseReservation(
        self, request: pb.ReleaseReservationRequest, context: Context
    ) -> pb.ReleaseReservationResponse:
        """Give back what is held."""
        intent = requests.release_reservation(request, current_caller())

        def respond(held: Reservation) -> pb.ReleaseReservationResponse:
            return pb.ReleaseReservationResponse(reservation=answers.reservation(held))

        return await self.write(request, intent, pb.ReleaseReservationResponse, respond)

    async def _settle(self, wishes: Sequence[intents.CreateReservation]) -> None:
        """Have it known which of the parts are published, where the decision asks for it."""
        await self.published.settle({line.part_id for wish in wishes if wish.only_published for line in wish.lines})

    async def _settle_lines(self, intent: intents.ExtendReservation | intents.CommitReservation) -> None:
        """The same for what is reserved already."""
        if intent.only_published:
            found, _ = await self.queries.reservation(intent.reservation_id)
            await self.published.settle({line.part_id for line in found.lines} if found else ())

    async def GetReservation(self, request: pb.GetReservationRequest, context: Context) -> pb.GetReservationResponse:
        """One reservation of the caller's."""
        await self.feed.wait_for(request.min_revision_token)
        caller = current_caller()
        reservation_id = requests.normal_id(request.reservation_id)
        found, revision = await self.queries.reservation(reservation_id)
        shown = require_owner(
            found, reservation_id, requests.owner(caller, request.owner_key), any_owner=caller.may("stock:read")
        )
        return pb.GetReservationResponse(
            reservation=answers.reservation(shown), revision_token=self.feed.token_for(revision)
        )
