"""Many holds in one call: each by itself, in order, and never more than there is."""

from __future__ import annotations

import asyncio
import uuid

from chassis.errors import FieldInvalid
from partstream.inventory.v1 import stock_service_pb2 as pb
from tests.inventory_svc.running import Running, refusal
from tests.inventory_svc.test_reservations import wish


def batch(*wishes: pb.CreateReservationRequest) -> pb.BatchCreateReservationsRequest:
    return pb.BatchCreateReservationsRequest(reservations=wishes)


def named(part: str, quantity: int = 1) -> pb.CreateReservationRequest:
    return wish((part, quantity), request_id=str(uuid.uuid4()))


async def test_a_refused_hold_costs_the_others_nothing(inventory: Running) -> None:
    part = await inventory.have(5)

    response = await inventory.public.BatchCreateReservations(batch(named(part, 2), named(part, 4), named(part, 3)))

    assert [result.reservation.lines[0].quantity for result in response.results if result.HasField("reservation")] == [
        2,
        3,
    ]
    refused = response.results[1]
    assert (refused.error.reason, refused.HasField("reservation")) == ("INSUFFICIENT_STOCK", False)
    assert (refused.error.metadata["requested"], refused.error.metadata["available"]) == ("4", "3")
    seen = await inventory.staff.GetStock(pb.GetStockRequest(part_id=part, min_revision_token=response.revision_token))
    assert (seen.stock.reserved, seen.stock.version) == (5, 3)


async def test_a_repetition_in_other_company_gets_the_first_answers(inventory: Running) -> None:
    part = await inventory.have(5)
    first, second, third = named(part), named(part), named(part)

    made = await inventory.public.BatchCreateReservations(batch(first, second))
    again = await inventory.public.BatchCreateReservations(batch(second, third, third))
    alone = await inventory.public.CreateReservation(first)

    held = [result.reservation.reservation_id for result in made.results]
    assert [result.reservation.reservation_id for result in again.results][:1] == held[1:]
    assert [result.replayed for result in again.results] == [True, False, True]
    assert (alone.reservation.reservation_id, alone.replayed) == (held[0], True)
    assert (await inventory.level(part)).reserved == 3


async def test_crowds_that_come_in_batches_do_not_oversell(inventory: Running) -> None:
    part = await inventory.have(50)

    responses = await asyncio.gather(
        *(inventory.public.BatchCreateReservations(batch(*(named(part) for _ in range(20)))) for _ in range(6))
    )

    results = [result for response in responses for result in response.results]
    assert sum(result.HasField("reservation") for result in results) == 50
    assert {result.error.reason for result in results if result.HasField("error")} == {"INSUFFICIENT_STOCK"}
    assert (await inventory.level(part)).reserved == 50
    inventory.check_books()


async def test_a_malformed_hold_is_named_and_nothing_is_held(inventory: Running) -> None:
    part = await inventory.have(5)

    error = await refusal(inventory.public.BatchCreateReservations(batch(named(part), named(part, 0))))

    assert isinstance(error, FieldInvalid)
    assert [field.path for field in error.fields] == ["reservations[1].lines[0].quantity"]
    assert (await inventory.level(part)).reserved == 0


async def test_more_than_a_batch_holds_is_refused(inventory: Running) -> None:
    error = await refusal(inventory.public.BatchCreateReservations(batch(*(named("any") for _ in range(201)))))

    assert isinstance(error, FieldInvalid)
    assert [field.path for field in error.fields] == ["reservations"]
