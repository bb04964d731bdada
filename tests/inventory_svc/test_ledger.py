"""The ledger over gRPC: pages, filters, moments, reversal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from chassis import errors
from partstream.changes.v1 import change_log_service_pb2
from partstream.inventory.v1 import movement_pb2
from partstream.inventory.v1 import stock_service_pb2 as pb
from tests.inventory_svc.running import Running, refusal


async def adjust(inventory: Running, part: str, delta: int, location: str = "main") -> pb.AdjustStockResponse:
    return await inventory.staff.AdjustStock(
        pb.AdjustStockRequest(part_id=part, location_id=location, delta=delta, reason=f"by {delta}")
    )


async def moving_part(inventory: Running) -> str:
    """A part with movements at two locations, in this order: 10, -1, 5 at berlin, -2, -3 at berlin, 4."""
    await inventory.staff.CreateLocation(pb.CreateLocationRequest(location_id="berlin", name="Berlin"))
    part = await inventory.have(10)
    await adjust(inventory, part, -1)
    await inventory.have(5, "berlin", part)
    await adjust(inventory, part, -2)
    await adjust(inventory, part, -3, "berlin")
    await adjust(inventory, part, 4)
    return part


async def deltas(inventory: Running, **filters: object) -> list[int]:
    """Every page of a listing, small pages."""
    found: list[int] = []
    token = ""
    while True:
        request = pb.ListMovementsRequest(page_size=2, page_token=token, **filters)  # type: ignore[arg-type]
        page = await inventory.staff.ListMovements(request)
        found += [item.on_hand_delta for item in page.movements]
        token = page.next_page_token
        if not token:
            return found


async def test_movements_are_paged_newest_first_over_all_locations(inventory: Running) -> None:
    part = await moving_part(inventory)

    assert await deltas(inventory, part_id=part) == [4, -3, -2, 5, -1, 10]
    assert await deltas(inventory, part_id=part, location_id="berlin") == [-3, 5]


async def test_movements_are_filtered(inventory: Running) -> None:
    part = await moving_part(inventory)
    all_of_them = (await inventory.staff.ListMovements(pb.ListMovementsRequest(part_id=part))).movements
    third = all_of_them[3]

    assert await deltas(inventory, part_id=part, kinds=[movement_pb2.MOVEMENT_KIND_COUNTED]) == [5, 10]
    assert await deltas(inventory, part_id=part, since=third.occur_time) == [4, -3, -2, 5]
    assert await deltas(inventory, part_id=part, until=third.occur_time) == [-1, 10]
    assert await deltas(inventory, part_id=part, actor="nobody") == []
    assert await deltas(inventory, part_id=part, caused_by_request_id=third.origin.request_id) == [5]


async def test_a_movement_says_who_why_and_from_where(inventory: Running) -> None:
    part = await inventory.have(1)
    request = pb.AdjustStockRequest(part_id=part, delta=2, reason="found two")
    await inventory.staff.AdjustStock(request, metadata=(*inventory.by_edge, ("partstream-client-ip", "10.1.2.3")))

    origin = (await inventory.staff.ListMovements(pb.ListMovementsRequest(part_id=part))).movements[0].origin

    assert (origin.actor.username, origin.source, origin.reason) == ("admin", "service", "found two")
    assert origin.client_ip == "10.1.2.3"


@pytest.mark.parametrize("stated", ["6.6.6.6", "7.7.7.7<script>", "fe80::1%eth0", "10.0.0.1 ", "x" * 300])
async def test_a_caller_that_is_no_process_cannot_state_its_address(inventory: Running, stated: str) -> None:
    """Any gRPC caller wrote what it liked into the audit trail; loopback is no proof of identity."""
    part = await inventory.have(1)
    request = pb.AdjustStockRequest(part_id=part, delta=2, reason="found two")
    await inventory.staff.AdjustStock(request, metadata=(("partstream-client-ip", stated),))

    origin = (await inventory.staff.ListMovements(pb.ListMovementsRequest(part_id=part))).movements[0].origin

    assert origin.client_ip == "127.0.0.1"


@pytest.mark.parametrize("stated", ["7.7.7.7<script>", "not an address", "fe80::1%eth0", "1.2.3", "x" * 300])
async def test_what_is_no_address_is_never_stored(inventory: Running, stated: str) -> None:
    part = await inventory.have(1)
    request = pb.AdjustStockRequest(part_id=part, delta=2, reason="found two")
    await inventory.staff.AdjustStock(request, metadata=(*inventory.by_edge, ("partstream-client-ip", stated)))

    origin = (await inventory.staff.ListMovements(pb.ListMovementsRequest(part_id=part))).movements[0].origin

    assert origin.client_ip == "127.0.0.1"


@pytest.mark.parametrize(
    "stamp",
    [
        Timestamp(seconds=2**63 - 1),
        Timestamp(seconds=-(2**63)),
        Timestamp(seconds=9_000_000_000_000_000),
        Timestamp(nanos=-1),
        Timestamp(nanos=2**31 - 1),
    ],
    ids=["last", "first", "far", "negative nanos", "too many nanos"],
)
async def test_a_moment_that_there_is_not_is_refused_by_the_name_of_its_field(
    inventory: Running, stamp: Timestamp
) -> None:
    """It was an internal fault in whatever took a moment."""
    part = await inventory.have(1)

    refused = [
        await refusal(inventory.staff.ListMovements(pb.ListMovementsRequest(part_id=part, since=stamp))),
        await refusal(inventory.staff.ListMovements(pb.ListMovementsRequest(part_id=part, until=stamp))),
        await refusal(inventory.staff.GetStockAtTime(pb.GetStockAtTimeRequest(part_id=part, time=stamp))),
    ]

    assert [type(error) for error in refused] == [errors.FieldInvalid] * 3
    assert [error.fields[0].path for error in refused] == ["since", "until", "time"]


async def test_a_text_that_cannot_be_stored_is_no_fault_of_ours(inventory: Running) -> None:
    part = await inventory.have(1)

    error = await refusal(inventory.staff.ListMovements(pb.ListMovementsRequest(part_id=part, actor="a\0b")))

    assert type(error) is errors.FieldInvalid


async def test_the_ledger_is_for_staff(inventory: Running) -> None:
    error = await refusal(inventory.public.ListMovements(pb.ListMovementsRequest(part_id="x")))

    assert isinstance(error, errors.TokenMissing)


async def test_the_stock_of_any_moment_is_known(inventory: Running) -> None:
    part = await moving_part(inventory)
    movements = (
        await inventory.staff.ListMovements(pb.ListMovementsRequest(part_id=part, location_id="main"))
    ).movements

    for movement in movements:
        request = pb.GetStockAtTimeRequest(part_id=part, time=movement.occur_time)
        assert (await inventory.staff.GetStockAtTime(request)).movement == movement
    before = pb.GetStockAtTimeRequest(part_id=part)
    before.time.FromDatetime(movements[-1].occur_time.ToDatetime(UTC) - timedelta(microseconds=1))
    assert not (await inventory.staff.GetStockAtTime(before)).HasField("movement")
    future = pb.GetStockAtTimeRequest(part_id=part)
    future.time.FromDatetime(datetime.now(UTC) + timedelta(hours=1))
    assert isinstance(await refusal(inventory.staff.GetStockAtTime(future)), errors.FieldInvalid)


async def test_a_movement_is_reversed_once(inventory: Running) -> None:
    part = await inventory.have(10)
    await adjust(inventory, part, 5)
    request = pb.ReverseMovementRequest(part_id=part, version=2, reason="typo")

    undone = await inventory.staff.ReverseMovement(request)
    again = await refusal(inventory.staff.ReverseMovement(request))
    unknown = await refusal(inventory.staff.ReverseMovement(pb.ReverseMovementRequest(part_id=part, version=99)))

    assert (undone.level.on_hand, undone.movement.reverses_version) == (10, 2)
    assert again.reason == "MOVEMENT_NOT_REVERSIBLE"
    assert again.metadata["cause"] == "already_reversed"
    assert unknown.reason == "MOVEMENT_NOT_FOUND"


FIRST_SECOND, LAST_SECOND = -62_135_596_800, 253_402_300_799


@pytest.mark.parametrize("time", [Timestamp(seconds=FIRST_SECOND), Timestamp(seconds=LAST_SECOND, nanos=999_999_999)])
async def test_times_at_the_ends_of_the_calendar_filter(inventory: Running, time: Timestamp) -> None:
    """The first second of the year 1 ended as INTERNAL: a microsecond was taken off it."""
    part = await moving_part(inventory)
    everything = time.seconds == FIRST_SECOND

    assert len(await deltas(inventory, part_id=part, since=time)) == (6 if everything else 0)
    assert len(await deltas(inventory, part_id=part, until=time)) == (0 if everything else 6)


@pytest.mark.parametrize(
    "time",
    [
        Timestamp(seconds=FIRST_SECOND - 1),
        Timestamp(seconds=LAST_SECOND + 1),
        Timestamp(seconds=2**63 - 1),
        Timestamp(seconds=-(2**63)),
        Timestamp(nanos=-1),
    ],
)
async def test_times_beyond_the_calendar_are_invalid(inventory: Running, time: Timestamp) -> None:
    part = await moving_part(inventory)

    for call in (
        inventory.staff.ListMovements(pb.ListMovementsRequest(part_id=part, since=time)),
        inventory.staff.ListMovements(pb.ListMovementsRequest(part_id=part, until=time)),
        inventory.staff.GetStockAtTime(pb.GetStockAtTimeRequest(part_id=part, time=time)),
        inventory.log_client().ListEntries(change_log_service_pb2.ListEntriesRequest(since=time)),
    ):
        error = await refusal(call)
        assert isinstance(error, errors.FieldInvalid), error
        assert error.fields


async def test_a_page_token_of_another_list_is_invalid(inventory: Running) -> None:
    part = await moving_part(inventory)
    page = await inventory.staff.ListMovements(pb.ListMovementsRequest(part_id=part, page_size=1))
    other = pb.ListMovementsRequest(part_id=part, page_size=1, actor="somebody", page_token=page.next_page_token)

    error = await refusal(inventory.staff.ListMovements(other))

    assert isinstance(error, errors.PageTokenInvalid)
