"""What the public sees of stock, over gRPC: sums of published parts, and nothing of others."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from chassis import errors
from partstream.changes.v1 import origin_pb2
from partstream.inventory.v1 import reservation_pb2, stock_pb2
from partstream.inventory.v1 import stock_service_pb2 as pb
from tests.harness.published_parts import publish
from tests.inventory_svc.running import Running, refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

CART = "cart" * 8
READER = frozenset({"stock:read"})


@pytest.fixture
async def part(inventory: Running) -> str:
    """A published part at two locations."""
    await inventory.staff.CreateLocation(pb.CreateLocationRequest(location_id="berlin", name="Berlin"))
    part_id = await inventory.have(5)
    return await inventory.have(3, "berlin", part_id)


@pytest.fixture
async def changes(inventory: Running) -> str:
    """A part that the content service knows and does not publish, with stock."""
    part_id = await inventory.have(9)
    publish(inventory.dsn, part_id, published=False)
    return part_id


@pytest.fixture
async def unknown(inventory: Running) -> str:
    """A part that the content service has never heard of, with stock."""
    part_id = await inventory.have(9)
    inventory.sql("DELETE FROM part_visibility WHERE part_id = %s", part_id)
    return part_id


def wish(part_id: str) -> pb.CreateReservationRequest:
    return pb.CreateReservationRequest(
        lines=[reservation_pb2.ReservationLine(part_id=part_id, quantity=1)], owner_key=CART
    )


async def test_the_public_sees_the_sum_and_nothing_else(inventory: Running, part: str) -> None:
    read = await inventory.public.GetStock(pb.GetStockRequest(part_id=part))
    many = await inventory.public.BatchGetStock(pb.BatchGetStockRequest(part_ids=[part]))

    expected = stock_pb2.PartStock(part_id=part, available=8, in_stock=True, version=2)
    assert read.stock == expected
    assert list(many.stocks) == [expected]


async def test_the_public_lists_and_snapshots_sums(inventory: Running, part: str, changes: str, unknown: str) -> None:
    listed = await inventory.public.ListStock(pb.ListStockRequest())
    messages = [message async for message in inventory.public.SnapshotStock(pb.SnapshotStockRequest())]

    expected = [stock_pb2.StockLevel(part_id=part, available=8, in_stock=True, version=2)]
    assert list(listed.levels) == expected
    assert [level for message in messages for level in message.levels] == expected
    assert messages[-1].resume_key == part


async def test_public_pages_have_filters_and_an_end(inventory: Running) -> None:
    for part_id, units in (("a", 0), ("b", 4), ("c", 2)):
        await inventory.have(units, part_id=part_id)

    async def listed(**filters: Any) -> Sequence[str]:
        found: list[str] = []
        token = ""
        while True:
            page = await inventory.public.ListStock(pb.ListStockRequest(page_size=1, page_token=token, **filters))
            found += [level.part_id for level in page.levels]
            token = page.next_page_token
            if not token:
                return found

    assert await listed() == ["a", "b", "c"]
    assert await listed(in_stock=True) == ["b", "c"]
    assert await listed(low_stock=True) == ["a"]


@pytest.mark.parametrize("request_", [pb.ListStockRequest(location_id="main"), pb.ListStockRequest(show_archived=True)])
async def test_what_is_at_a_location_is_for_staff(inventory: Running, request_: pb.ListStockRequest) -> None:
    assert isinstance(await refusal(inventory.public.ListStock(request_)), errors.TokenMissing)


@pytest.mark.parametrize("hidden", ["changes", "unknown"])
async def test_to_the_public_a_part_that_is_not_published_does_not_exist(
    inventory: Running, hidden: str, changes: str, unknown: str
) -> None:
    part_id = changes if hidden == "changes" else unknown
    never = await refusal(inventory.public.GetStock(pb.GetStockRequest(part_id="never")))
    never_held = await refusal(inventory.public.CreateReservation(wish("never")))

    read = await refusal(inventory.public.GetStock(pb.GetStockRequest(part_id=part_id)))
    held = await refusal(inventory.public.CreateReservation(wish(part_id)))
    many = await inventory.public.BatchGetStock(pb.BatchGetStockRequest(part_ids=[part_id]))

    assert (read.reason, read.message) == ("PART_NOT_FOUND", never.message.replace("never", part_id))
    assert (held.reason, held.message) == ("PART_NOT_FOUND", never_held.message.replace("never", part_id))
    assert {**held.metadata, "part_id": ""} == {**never_held.metadata, "part_id": ""}
    assert list(many.missing_part_ids) == [part_id]
    assert (await inventory.level(part_id)).reserved == 0


async def test_staff_see_and_hold_any_part(inventory: Running, changes: str) -> None:
    reader = inventory.client("ann", permissions=READER)

    assert (await reader.GetStock(pb.GetStockRequest(part_id=changes))).stock.on_hand == 9
    assert (await reader.CreateReservation(wish(changes))).reservation.state == reservation_pb2.RESERVATION_STATE_HELD


async def test_what_is_held_is_not_sold_or_held_longer_once_the_part_is_a_draft(inventory: Running, part: str) -> None:
    customer = inventory.client("kim", str(uuid.uuid4()), permissions=frozenset({"reservations:commit"}))
    held = (await customer.CreateReservation(wish(part))).reservation.reservation_id
    publish(inventory.dsn, part, published=False)
    commit = pb.CommitReservationRequest(reservation_id=held, owner_key=CART)
    extend = pb.ExtendReservationRequest(reservation_id=held, owner_key=CART)
    extend.ttl.FromSeconds(60)

    for call in (customer.CommitReservation(commit), customer.ExtendReservation(extend)):
        assert (await refusal(call)).reason == "PART_NOT_FOUND"

    release = pb.ReleaseReservationRequest(reservation_id=held, owner_key=CART)
    released = (await customer.ReleaseReservation(release)).reservation
    assert released.state == reservation_pb2.RESERVATION_STATE_RELEASED


async def test_a_repeated_reservation_gets_its_first_response_although_the_part_is_a_draft_now(
    inventory: Running, part: str
) -> None:
    request = wish(part)
    request.request_id = "6f1b7c0e-58c5-4a3c-9c53-3a55a0f1d001"
    first = await inventory.public.CreateReservation(request)
    publish(inventory.dsn, part, published=False)

    again = await inventory.public.CreateReservation(request)

    assert again.replayed
    assert again.reservation == first.reservation


async def adjust(inventory: Running, part_id: str) -> None:
    await inventory.staff.AdjustStock(pb.AdjustStockRequest(part_id=part_id, delta=1, reason="x"))


async def test_the_public_stream_says_that_stock_changed_and_no_number(inventory: Running, part: str) -> None:
    watch: Any = inventory.public.WatchStock(pb.WatchStockRequest())
    await watch.read()
    await adjust(inventory, part)

    (change,) = (await watch.read()).changes
    watch.cancel()

    told = {field.name for field, _ in change.ListFields()}
    assert told == {"revision", "part_id", "operation", "commit_time", "entity"}
    assert (change.part_id, change.operation) == (part, origin_pb2.OPERATION_UPDATED)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("from_table", [True, False])
async def test_the_public_stream_is_silent_about_a_part_from_the_moment_it_is_a_draft(
    inventory: Running, part: str, *, named: bool, from_table: bool
) -> None:
    other = await inventory.have(1)
    start = (await inventory.staff.GetStock(pb.GetStockRequest(part_id=other))).revision_token
    await adjust(inventory, part)
    publish(inventory.dsn, part, published=False)
    await adjust(inventory, part)
    await adjust(inventory, other)
    wanted = pb.WatchStockRequest(cursor=start, part_ids=[part, other] if named else [])
    if not from_table:  # the window begins to hold what the public sees when somebody watches
        first: Any = inventory.public.WatchStock(pb.WatchStockRequest())
        await first.read()
        first.cancel()
        wanted.cursor = (await inventory.staff.GetStock(pb.GetStockRequest(part_id=other))).revision_token
        await adjust(inventory, part)
        await adjust(inventory, other)

    watch: Any = inventory.public.WatchStock(wanted)
    told: list[str] = []
    async with asyncio.timeout(10):
        while not told:
            told += [change.part_id for change in (await watch.read()).changes]
    watch.cancel()

    assert told == [other]


async def test_a_reader_without_the_right_to_origins_gets_none(inventory: Running, part: str) -> None:
    reader = inventory.client("ann", permissions=READER)
    watch: Any = reader.WatchStock(pb.WatchStockRequest())
    await watch.read()
    await adjust(inventory, part)

    (change,) = (await watch.read()).changes
    watch.cancel()
    (newest, *_) = (await reader.ListMovements(pb.ListMovementsRequest(part_id=part))).movements
    (full, *_) = (await inventory.staff.ListMovements(pb.ListMovementsRequest(part_id=part))).movements

    assert not change.HasField("origin")
    assert change.after.on_hand == 6
    assert change.movements[0].origin == newest.origin
    assert (newest.origin.reason, newest.origin.client_ip, full.origin.client_ip) == ("x", "", "127.0.0.1")
