"""Reservations: guests and customers for their own, those with `reservations:manage` for all."""

# ruff: noqa: N802, ARG002 - the names and parameters of the contract

from __future__ import annotations

from typing import TYPE_CHECKING

from chassis.caller import current_caller, require
from chassis.errors import PartstreamError, TokenMissing
from inventory_svc.convert import answers, requests
from inventory_svc.domain.intents import TakeOverCart
from inventory_svc.domain.reservation import Owner
from inventory_svc.domain.reservation_rules import require_owner
from inventory_svc.servicer.base import Base, page_size
from partstream.inventory.v1 import stock_service_pb2 as pb

if TYPE_CHECKING:
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
        await self._take_over_cart(request.owner_key)
        intent = requests.create_reservation(request, current_caller(), self.guest_limits)
        return await self.write(request, intent, pb.CreateReservationResponse, _created, weight=len(intent.lines))

    async def BatchCreateReservations(
        self, request: pb.BatchCreateReservationsRequest, context: Context
    ) -> pb.BatchCreateReservationsResponse:
        """Hold for many owners, each hold by itself."""
        caller = current_caller()
        wanted = [
            (item, requests.create_reservation(item, caller, self.guest_limits), len(item.lines))
            for item in request.reservations
        ]
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
        await self._take_over_cart(request.owner_key)
        intent = requests.extend_reservation(request, current_caller(), self.guest_limits)

        def respond(held: Reservation) -> pb.ExtendReservationResponse:
            return pb.ExtendReservationResponse(reservation=answers.reservation(held))

        return await self.write(request, intent, pb.ExtendReservationResponse, respond)

    async def CommitReservation(
        self, request: pb.CommitReservationRequest, context: Context
    ) -> pb.CommitReservationResponse:
        """Ship what is held."""
        caller = require("reservations:commit")
        await self._take_over_cart(request.owner_key)
        intent = requests.commit_reservation(request, caller)

        def respond(held: Reservation) -> pb.CommitReservationResponse:
            return pb.CommitReservationResponse(reservation=answers.reservation(held))

        return await self.write(request, intent, pb.CommitReservationResponse, respond)

    async def ReleaseReservation(
        self, request: pb.ReleaseReservationRequest, context: Context
    ) -> pb.ReleaseReservationResponse:
        """Give back what is held."""
        await self._take_over_cart(request.owner_key)
        intent = requests.release_reservation(request, current_caller())

        def respond(held: Reservation) -> pb.ReleaseReservationResponse:
            return pb.ReleaseReservationResponse(reservation=answers.reservation(held))

        return await self.write(request, intent, pb.ReleaseReservationResponse, respond)

    async def GetReservation(self, request: pb.GetReservationRequest, context: Context) -> pb.GetReservationResponse:
        """One reservation of the caller's."""
        await self.feed.wait_for(request.min_revision_token)
        await self._take_over_cart(request.owner_key)
        caller = current_caller()
        reservation_id = requests.normal_id(request.reservation_id)
        found, revision = await self.queries.reservation(reservation_id)
        any_owner = caller.may("stock:read") or caller.may(requests.MANAGE)
        shown = require_owner(found, reservation_id, requests.owner(caller, request.owner_key), any_owner=any_owner)
        return pb.GetReservationResponse(
            reservation=answers.reservation(shown), revision_token=self.feed.token_for(revision)
        )

    async def ListReservations(
        self, request: pb.ListReservationsRequest, context: Context
    ) -> pb.ListReservationsResponse:
        """The caller's own reservations."""
        await self.feed.wait_for(request.min_revision_token)
        caller = current_caller()
        if caller.is_anonymous and not request.owner_key:
            message = "Sign in, or send the owner key of the cart."
            raise TokenMissing(message)
        await self._take_over_cart(request.owner_key)
        owners = {requests.owner(caller, request.owner_key), Owner.of_cart(request.owner_key)}
        found, token, revision = await self.queries.reservations_of(
            sorted(owner.identifier for owner in owners if owner.identifier),
            answers.state_name(request.state),
            page_size(request.page_size),
            request.page_token,
        )
        return pb.ListReservationsResponse(
            reservations=[answers.reservation(item) for item in found],
            next_page_token=token,
            revision_token=self.feed.token_for(revision),
        )

    async def _take_over_cart(self, owner_key: str) -> None:
        """Move what a guest's cart holds to the account of a caller who has both.

        A service acts for many carts and is the owner of none.
        """
        caller = current_caller()
        if caller.is_anonymous or not owner_key or "service" in caller.roles:
            return
        cart = Owner.of_cart(owner_key)
        held = await self.queries.held_by_cart(cart)
        if held:
            await self.submit(TakeOverCart(held, cart, Owner(caller.user_id, is_user=True)))
