"""A repeated request has one effect and gets the stored response."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

from chassis import errors
from partstream.inventory.v1 import reservation_pb2
from partstream.inventory.v1 import stock_service_pb2 as pb
from tests.inventory_svc.running import Running, refusal, running


def adjustment(part: str, request_id: str, delta: int = -1) -> pb.AdjustStockRequest:
    return pb.AdjustStockRequest(part_id=part, delta=delta, reason="sold", request_id=request_id)


async def test_a_retry_gets_the_first_response(inventory: Running) -> None:
    part = await inventory.have(5)
    request = adjustment(part, str(uuid.uuid4()))

    first = await inventory.staff.AdjustStock(request)
    second = await inventory.staff.AdjustStock(request)

    assert (first.replayed, second.replayed) == (False, True)
    assert (first.level, first.revision_token) == (second.level, second.revision_token)
    assert (await inventory.level(part)).on_hand == 4


async def test_an_id_in_capitals_is_the_same_id(inventory: Running) -> None:
    part = await inventory.have(5)
    request_id = str(uuid.uuid4())
    await inventory.staff.AdjustStock(adjustment(part, request_id))

    error = await refusal(inventory.staff.AdjustStock(adjustment(part, request_id.upper(), delta=-2)))

    assert isinstance(error, errors.RequestIdReused)


async def test_an_id_with_another_body_is_refused(inventory: Running) -> None:
    part = await inventory.have(5)
    request_id = str(uuid.uuid4())
    await inventory.staff.AdjustStock(adjustment(part, request_id))

    assert isinstance(
        await refusal(inventory.staff.AdjustStock(adjustment(part, request_id, delta=-2))), errors.RequestIdReused
    )
    assert (await inventory.level(part)).on_hand == 4


async def test_two_principals_may_use_the_same_id(inventory: Running) -> None:
    """An id was one namespace for all callers: the second one got an error for a reused id."""
    part = await inventory.have(9)
    request_id = str(uuid.uuid4())
    other = inventory.client("other", str(uuid.uuid4()), frozenset({"stock:write"}))

    responses = await asyncio.gather(
        inventory.staff.AdjustStock(adjustment(part, request_id)),
        other.AdjustStock(adjustment(part, request_id)),
        other.AdjustStock(adjustment(part, request_id)),
    )
    repeated = await inventory.staff.AdjustStock(adjustment(part, request_id))

    assert sorted(response.replayed for response in responses) == [False, False, True]
    assert (repeated.replayed, repeated.level) == (True, responses[0].level)
    assert (await inventory.level(part)).on_hand == 7


async def test_two_carts_with_the_same_id_have_a_hold_each(inventory: Running) -> None:
    """Two carts with one request id and body got one reservation, which either could release."""
    part = await inventory.have(9)
    line = reservation_pb2.ReservationLine(part_id=part, quantity=1)
    request_id = str(uuid.uuid4())
    requests = [
        pb.CreateReservationRequest(request_id=request_id, lines=[line], owner_key=f"{name}-{'x' * 32}")
        for name in ("one", "other", "one")
    ]

    held = [await inventory.public.CreateReservation(request) for request in requests]

    assert [response.replayed for response in held] == [False, False, True]
    assert held[0].reservation.reservation_id == held[2].reservation.reservation_id
    assert held[0].reservation.reservation_id != held[1].reservation.reservation_id
    assert (await inventory.level(part)).reserved == 2


async def test_retries_at_once_have_one_effect(inventory: Running) -> None:
    part = await inventory.have(5)
    request = adjustment(part, str(uuid.uuid4()))

    responses = await asyncio.gather(*(inventory.staff.AdjustStock(request) for _ in range(8)))

    assert sorted(response.replayed for response in responses) == [False] + [True] * 7
    assert {response.level.version for response in responses} == {2}
    assert (await inventory.level(part)).on_hand == 4


async def test_retries_at_once_with_different_bodies_have_one_effect(inventory: Running) -> None:
    part = await inventory.have(9)
    request_id = str(uuid.uuid4())

    calls = [inventory.staff.AdjustStock(adjustment(part, request_id, -delta)) for delta in (1, 2, 3)]
    results = await asyncio.gather(*calls, return_exceptions=True)

    assert sum(not isinstance(result, BaseException) for result in results) == 1
    assert (await inventory.level(part)).version == 2


async def test_requests_with_the_same_body_succeed_whatever_other_bodies_have_the_id(inventory: Running) -> None:
    """Retries were refused as another body when they came to the queue behind one that was."""
    part = await inventory.have(99)
    request_id = str(uuid.uuid4())

    deltas = [1, 2, 1, 2, 3, 1, 2, 3]
    calls = [inventory.staff.AdjustStock(adjustment(part, request_id, -delta)) for delta in deltas]
    results = await asyncio.gather(*calls, return_exceptions=True)

    taken = 99 - (await inventory.level(part)).on_hand
    accepted = [delta for delta, result in zip(deltas, results, strict=True) if not isinstance(result, BaseException)]
    assert accepted == [delta for delta in deltas if delta == taken]


async def test_an_id_is_free_for_the_next_body_when_the_first_is_refused(inventory: Running) -> None:
    part = await inventory.have(5)
    request_id = str(uuid.uuid4())

    calls = [inventory.staff.AdjustStock(adjustment(part, request_id, -delta)) for delta in (9, 9, 9, 2, 2)]
    results = await asyncio.gather(*calls, return_exceptions=True)

    assert (await inventory.level(part)).on_hand == 3
    assert sum(not isinstance(result, BaseException) for result in results) == 2


async def test_retries_at_once_through_two_replicas_have_one_effect(inventory: Running, tmp_path: Path) -> None:
    part = await inventory.have(50)

    async with running(inventory.dsn, tmp_path) as other:
        for _ in range(20):
            request = adjustment(part, str(uuid.uuid4()))
            replica = other.client("admin", permissions=frozenset({"stock:write", "stock:read"}))
            responses = await asyncio.gather(inventory.staff.AdjustStock(request), replica.AdjustStock(request))
            assert sorted(response.replayed for response in responses) == [False, True]
            assert responses[0].level == responses[1].level

    assert (await inventory.level(part)).on_hand == 30


async def test_a_refused_request_may_be_tried_again(inventory: Running) -> None:
    part = await inventory.have(0)
    request = adjustment(part, str(uuid.uuid4()))
    await refusal(inventory.staff.AdjustStock(request))
    await inventory.staff.AdjustStock(adjustment(part, str(uuid.uuid4()), delta=1))

    response = await inventory.staff.AdjustStock(request)

    assert (response.replayed, response.level.on_hand) == (False, 0)


async def test_every_kind_of_write_is_repeatable(inventory: Running) -> None:
    part = await inventory.have(20)
    await inventory.staff.CreateLocation(pb.CreateLocationRequest(location_id="berlin", name="Berlin"))
    line = reservation_pb2.ReservationLine(part_id=part, quantity=1)
    held = [
        (await inventory.staff.CreateReservation(pb.CreateReservationRequest(lines=[line]))).reservation.reservation_id
        for _ in range(2)
    ]
    calls = [
        (inventory.staff.SetStock, pb.SetStockRequest(part_id=part, on_hand=20, unconditional=True)),
        (inventory.staff.TransferStock, pb.TransferStockRequest(part_id=part, to_location_id="berlin", quantity=2)),
        (inventory.staff.CreateReservation, pb.CreateReservationRequest(lines=[line])),
        (inventory.staff.CommitReservation, pb.CommitReservationRequest(reservation_id=held[0])),
        (inventory.staff.ReleaseReservation, pb.ReleaseReservationRequest(reservation_id=held[1])),
        (inventory.staff.ReverseMovement, pb.ReverseMovementRequest(part_id=part, version=1)),
        (inventory.staff.SetReorderPoint, pb.SetReorderPointRequest(part_id=part, reorder_point=3)),
        (inventory.staff.ArchiveStock, pb.ArchiveStockRequest(part_id=part, location_id="berlin")),
        (inventory.staff.RestoreStock, pb.RestoreStockRequest(part_id=part, location_id="berlin")),
        (inventory.staff.CreateLocation, pb.CreateLocationRequest(location_id="paris", name="Paris")),
        (inventory.staff.ArchiveLocation, pb.ArchiveLocationRequest(location_id="paris")),
    ]
    for call, request in calls:
        request.request_id = str(uuid.uuid4())  # type: ignore[attr-defined]
        if isinstance(request, pb.ReverseMovementRequest):
            received = await inventory.staff.AdjustStock(adjustment(part, "", delta=3))
            request.version = received.level.version
        first, second = await asyncio.gather(call(request), call(request))  # type: ignore[operator]
        third = await call(request)  # type: ignore[operator]
        assert sorted((first.replayed, second.replayed)) == [False, True], request
        first.replayed = second.replayed = third.replayed = False
        assert first == second == third, request
