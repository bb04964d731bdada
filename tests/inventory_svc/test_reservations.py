"""Reservations over gRPC, and their expiry."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC
from typing import Any

from chassis import errors
from partstream.inventory.v1 import reservation_pb2
from partstream.inventory.v1 import stock_service_pb2 as pb
from partstream.inventory.v1.reservation_pb2 import ReservationLine
from tests.inventory_svc.running import Running, refusal

HELD = reservation_pb2.RESERVATION_STATE_HELD
KEY = "cart-of-a-guest-0123456789abcdef"
OTHER_KEY = "cart-of-another-guest-0123456789abcdef"
EXPIRED = reservation_pb2.RESERVATION_STATE_EXPIRED
COMMITTED = reservation_pb2.RESERVATION_STATE_COMMITTED


def wish(*lines: tuple[str, int], owner_key: str = KEY, seconds: int = 60, **more: Any) -> pb.CreateReservationRequest:
    """A request for a hold."""
    request = pb.CreateReservationRequest(
        lines=[ReservationLine(part_id=part, quantity=quantity) for part, quantity in lines],
        owner_key=owner_key,
        **more,
    )
    request.ttl.FromSeconds(seconds)
    return request


async def test_a_guest_holds_and_a_checkout_ships(inventory: Running) -> None:
    part = await inventory.have(5)

    held = (await inventory.public.CreateReservation(wish((part, 2), (part, 1)))).reservation
    bought = await inventory.staff.CommitReservation(pb.CommitReservationRequest(reservation_id=held.reservation_id))

    assert [(line.part_id, line.location_id, line.quantity) for line in held.lines] == [(part, "main", 3)]
    assert (held.state, held.owner) == (HELD, "")
    assert bought.reservation.state == COMMITTED
    level = await inventory.level(part)
    assert (level.on_hand, level.reserved, level.version) == (2, 0, 3)


async def test_another_cart_cannot_touch_it(inventory: Running) -> None:
    part = await inventory.have(5)
    held = (await inventory.public.CreateReservation(wish((part, 2)))).reservation.reservation_id
    shopper = inventory.client("shopper", str(uuid.uuid4()))

    for call in (
        inventory.public.GetReservation(pb.GetReservationRequest(reservation_id=held, owner_key=OTHER_KEY)),
        inventory.public.ReleaseReservation(pb.ReleaseReservationRequest(reservation_id=held, owner_key=OTHER_KEY)),
        shopper.ReleaseReservation(pb.ReleaseReservationRequest(reservation_id=held)),
        inventory.public.ReleaseReservation(pb.ReleaseReservationRequest(reservation_id=held)),
    ):
        assert (await refusal(call)).reason == "RESERVATION_NOT_FOUND"
    staff_view = await inventory.staff.GetReservation(pb.GetReservationRequest(reservation_id=held))
    assert staff_view.reservation.reservation_id == held


async def test_a_hold_ends_by_itself_on_time(inventory: Running) -> None:
    part = await inventory.have(5)
    held = (await inventory.public.CreateReservation(wish((part, 2), seconds=1))).reservation

    ended = await anext(change async for change in changes(inventory, held.reservation_id) if change.version == 2)

    assert ended.reservation.after.state == EXPIRED
    late = ended.commit_time.ToNanoseconds() - held.expire_time.ToNanoseconds()
    assert 0 <= late < 1_000_000_000
    assert ended.origin.actor.username == "inventory_svc"
    assert (await inventory.level(part)).available == 5


async def changes(inventory: Running, entity_id: str) -> AsyncIterator[Any]:
    """Changes of one entity from the beginning of the log."""
    first = await anext(aiter(inventory.staff.SnapshotStock(pb.SnapshotStockRequest())))
    async for message in inventory.staff.WatchStock(pb.WatchStockRequest(cursor=first.cursor)):
        for change in message.changes:
            if change.entity_id == entity_id:
                yield change


async def test_an_overdue_reservation_blocks_no_caller(inventory: Running) -> None:
    part = await inventory.have(2)
    await inventory.app.expiry.stop()
    first = (await inventory.public.CreateReservation(wish((part, 2), seconds=1))).reservation
    inventory.sql("SELECT pg_sleep(extract(epoch FROM %s - clock_timestamp()))", first.expire_time.ToDatetime(UTC))

    second = (await inventory.public.CreateReservation(wish((part, 2), owner_key=OTHER_KEY))).reservation

    assert second.state == HELD
    request = pb.GetReservationRequest(reservation_id=first.reservation_id, owner_key=KEY)
    assert (await inventory.public.GetReservation(request)).reservation.state == EXPIRED


async def test_an_extended_hold_replaces_its_end(inventory: Running) -> None:
    part = await inventory.have(2)
    held = (await inventory.public.CreateReservation(wish((part, 2)))).reservation
    request = pb.ExtendReservationRequest(reservation_id=held.reservation_id, owner_key=KEY)
    request.ttl.FromSeconds(3600)

    longer = (await inventory.public.ExtendReservation(request)).reservation

    assert longer.expire_time.seconds - held.expire_time.seconds > 3500
    assert longer.lines == held.lines


async def test_an_own_hold_never_blocks_its_owner(inventory: Running) -> None:
    part = await inventory.have(2)
    first = (await inventory.public.CreateReservation(wish((part, 2)))).reservation

    blocked = await refusal(inventory.public.CreateReservation(wish((part, 2))))
    second = await inventory.public.CreateReservation(wish((part, 2), replaces_reservation_id=first.reservation_id))

    assert blocked.reason == "INSUFFICIENT_STOCK"
    assert second.reservation.state == HELD


async def test_reserved_stock_cannot_be_sold_or_counted_away(inventory: Running) -> None:
    part = await inventory.have(5)
    await inventory.public.CreateReservation(wish((part, 4)))

    for call in (
        inventory.staff.AdjustStock(pb.AdjustStockRequest(part_id=part, delta=-2, reason="x")),
        inventory.staff.SetStock(pb.SetStockRequest(part_id=part, on_hand=3, unconditional=True)),
    ):
        assert (await refusal(call)).reason == "INSUFFICIENT_STOCK"
    error = await refusal(inventory.staff.ArchiveStock(pb.ArchiveStockRequest(part_id=part)))
    assert isinstance(error, errors.IllegalState)


async def test_the_last_unit_is_sold_once(inventory: Running) -> None:
    part = await inventory.have(1)

    calls = [inventory.public.CreateReservation(wish((part, 1), owner_key=f"{KEY}-{number}")) for number in range(60)]
    results = await asyncio.gather(*calls, return_exceptions=True)

    assert sum(not isinstance(result, BaseException) for result in results) == 1


async def test_the_public_stream_says_nothing_of_reservations(inventory: Running) -> None:
    part = await inventory.have(5)
    cursor = (await inventory.public.GetStock(pb.GetStockRequest(part_id=part))).revision_token
    watch: Any = inventory.public.WatchStock(pb.WatchStockRequest(cursor=cursor))
    await watch.read()
    await inventory.public.CreateReservation(wish((part, 2)))

    message = await watch.read()

    assert [change.entity for change in message.changes] == ["stock_level"]
    assert list(message.changes[0].movements) == []
    assert not message.changes[0].HasField("origin")
    watch.cancel()
