"""Reservations: guests and customers for their own, those with `reservations:manage` for all."""

# ruff: noqa: N802, ARG002 - the names and parameters of the contract

from __future__ import annotations

from typing import TYPE_CHECKING

from changelog import cursor as cursors
from chassis.caller import current_caller, require
from chassis.errors import PartstreamError, TokenMissing
from inventory_svc.convert import requests, responses
from inventory_svc.domain.commands import TakeOverCart
from inventory_svc.domain.reservation import Owner
from inventory_svc.domain.reservation_rules import require_owner
from inventory_svc.errors import PartNotFound
from inventory_svc.servicer.base import Base, ResponseT, page_size
from partstream.inventory.v1 import stock_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from inventory_svc.domain import commands
    from inventory_svc.domain.reservation import Reservation
    from inventory_svc.servicer.base import Context, WriteRequest


def _created(held: Reservation) -> pb.CreateReservationResponse:
    return pb.CreateReservationResponse(reservation=responses.reservation(held))


class Reservations(Base):
    """Holds of stock for a time."""

    async def CreateReservation(
        self, request: pb.CreateReservationRequest, context: Context
    ) -> pb.CreateReservationResponse:
        """Hold every line or none."""
        await self._take_over_cart(request.owner_key)
        command = requests.create_reservation(request, current_caller(), self.guest_limits)
        return await self._write(request, command, pb.CreateReservationResponse, _created, weight=len(command.lines))

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
        missed = [
            at
            for at, ((_, command, _), result) in enumerate(zip(wanted, results, strict=True))
            if command.only_published and isinstance(result, PartNotFound)
        ]
        if await self._became_published(line.part_id for at in missed for line in wanted[at][1].lines):
            again, later = await self.write_each([wanted[at] for at in missed], pb.CreateReservationResponse, _created)
            token = cursors.merge(token, later)
            for at, result in zip(missed, again, strict=True):
                results[at] = result
        return pb.BatchCreateReservationsResponse(
            results=[
                responses.rejected_reservation(result)
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
        command = requests.extend_reservation(request, current_caller(), self.guest_limits)

        def respond(held: Reservation) -> pb.ExtendReservationResponse:
            return pb.ExtendReservationResponse(reservation=responses.reservation(held))

        return await self._write(request, command, pb.ExtendReservationResponse, respond)

    async def CommitReservation(
        self, request: pb.CommitReservationRequest, context: Context
    ) -> pb.CommitReservationResponse:
        """Ship what is held."""
        caller = require("reservations:commit")
        await self._take_over_cart(request.owner_key)
        command = requests.commit_reservation(request, caller)

        def respond(held: Reservation) -> pb.CommitReservationResponse:
            return pb.CommitReservationResponse(reservation=responses.reservation(held))

        return await self._write(request, command, pb.CommitReservationResponse, respond)

    async def ReleaseReservation(
        self, request: pb.ReleaseReservationRequest, context: Context
    ) -> pb.ReleaseReservationResponse:
        """Give back what is held."""
        await self._take_over_cart(request.owner_key)
        command = requests.release_reservation(request, current_caller())

        def respond(held: Reservation) -> pb.ReleaseReservationResponse:
            return pb.ReleaseReservationResponse(reservation=responses.reservation(held))

        return await self.write(request, command, pb.ReleaseReservationResponse, respond)

    async def _write(
        self,
        request: WriteRequest,
        command: commands.CreateReservation | commands.ExtendReservation | commands.CommitReservation,
        response: type[ResponseT],
        respond: Callable[[Any], ResponseT],
        *,
        weight: int = 1,
    ) -> ResponseT:
        """Decide again when a part was refused of which the follower had not yet applied that it is published."""
        try:
            return await self.write(request, command, response, respond, weight=weight)
        except PartNotFound:
            if not command.only_published or not await self._became_published(await self._parts_of(command)):
                raise
        return await self.write(request, command, response, respond, weight=weight)

    async def _parts_of(
        self, command: commands.CreateReservation | commands.ExtendReservation | commands.CommitReservation
    ) -> Iterable[str]:
        lines = getattr(command, "lines", None)
        if lines is None:
            found, _ = await self.queries.reservation(command.reservation_id)
            lines = found.lines if found else ()
        return (line.part_id for line in lines)

    async def _became_published(self, part_ids: Iterable[str]) -> bool:
        wanted = frozenset(part_ids)
        return bool(wanted) and bool(await self.published.learn(wanted))

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
            reservation=responses.reservation(shown), revision_token=self.feed.token_for(revision)
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
            responses.state_name(request.state),
            page_size(request.page_size),
            request.page_token,
        )
        return pb.ListReservationsResponse(
            reservations=[responses.reservation(item) for item in found],
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
