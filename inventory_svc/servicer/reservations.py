"""Reservations: guests and customers manage their own, callers with `reservations:manage` those of all owners."""

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
from inventory_svc.servicer.base import Base, ResponseT, page_size, respond_with
from partstream.inventory.v1 import stock_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterable

    from inventory_svc.domain import commands
    from inventory_svc.servicer.base import Context, WriteRequest


class Reservations(Base):
    """Methods of reservations."""

    async def CreateReservation(
        self, request: pb.CreateReservationRequest, context: Context
    ) -> pb.CreateReservationResponse:
        """Reserve all lines or none."""
        await self._take_over_cart(request.owner_key)
        command = requests.create_reservation(request, current_caller(), self.guest_limits)
        return await self._write(request, command, pb.CreateReservationResponse, weight=len(command.lines))

    async def BatchCreateReservations(
        self, request: pb.BatchCreateReservationsRequest, context: Context
    ) -> pb.BatchCreateReservationsResponse:
        """Create many reservations, each independently of the others."""
        caller = current_caller()
        respond = respond_with(pb.CreateReservationResponse, "reservation", responses.reservation)
        requested = [
            (item, requests.create_reservation(item, caller, self.guest_limits), len(item.lines))
            for item in request.reservations
        ]
        results, token = await self.write_each(requested, pb.CreateReservationResponse, respond)
        rejected = [
            at
            for at, ((_, command, _), result) in enumerate(zip(requested, results, strict=True))
            if command.only_published and isinstance(result, PartNotFound)
        ]
        if await self._became_published(line.part_id for at in rejected for line in requested[at][1].lines):
            retried, later = await self.write_each(
                [requested[at] for at in rejected], pb.CreateReservationResponse, respond
            )
            token = cursors.merge(token, later)
            for at, result in zip(rejected, retried, strict=True):
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
        """Set a new expiry of a reservation."""
        await self._take_over_cart(request.owner_key)
        command = requests.extend_reservation(request, current_caller(), self.guest_limits)
        return await self._write(request, command, pb.ExtendReservationResponse)

    async def CommitReservation(
        self, request: pb.CommitReservationRequest, context: Context
    ) -> pb.CommitReservationResponse:
        """Commit a reservation: ship its units."""
        caller = require("reservations:commit")
        await self._take_over_cart(request.owner_key)
        command = requests.commit_reservation(request, caller)
        return await self._write(request, command, pb.CommitReservationResponse)

    async def ReleaseReservation(
        self, request: pb.ReleaseReservationRequest, context: Context
    ) -> pb.ReleaseReservationResponse:
        """Release the units of a reservation."""
        await self._take_over_cart(request.owner_key)
        command = requests.release_reservation(request, current_caller())
        respond = respond_with(pb.ReleaseReservationResponse, "reservation", responses.reservation)
        return await self.write(request, command, pb.ReleaseReservationResponse, respond)

    async def _write(
        self,
        request: WriteRequest,
        command: commands.CreateReservation | commands.ExtendReservation | commands.CommitReservation,
        response: type[ResponseT],
        *,
        weight: int = 1,
    ) -> ResponseT:
        """Write; retry once after a rejected part that was published, but not yet applied by the follower."""
        respond = respond_with(response, "reservation", responses.reservation)
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
        requested = frozenset(part_ids)
        return bool(requested) and bool(await self.published.learn(requested))

    async def GetReservation(self, request: pb.GetReservationRequest, context: Context) -> pb.GetReservationResponse:
        """Return one reservation that the caller may read."""
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
        """Return a page of the caller's own reservations."""
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
        """Transfer the reservations of a guest's cart to the account of a signed-in caller who sends its key.

        A service acts for many carts and owns none of them.
        """
        caller = current_caller()
        if caller.is_anonymous or not owner_key or "service" in caller.roles:
            return
        cart = Owner.of_cart(owner_key)
        reservation_ids = await self.queries.held_by_cart(cart)
        if reservation_ids:
            await self.submit(TakeOverCart(reservation_ids, cart, Owner(caller.user_id, is_user=True)))
