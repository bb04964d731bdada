"""Many callers at once over two replicas: nothing oversold, nothing lost, nothing told that was not so."""

from __future__ import annotations

import asyncio
import random
import uuid
from typing import Any

from chassis.errors import PartstreamError, VersionConflict
from partstream.inventory.v1 import stock_service_pb2 as pb
from partstream.inventory.v1.reservation_pb2 import ReservationLine
from tests.inventory_svc.storms.replicas import Crowd


def wish(buyer: int, **units: int) -> pb.CreateReservationRequest:
    """What a buyer wants to hold."""
    return pb.CreateReservationRequest(
        request_id=str(uuid.uuid4()),
        lines=[ReservationLine(part_id=part, quantity=quantity) for part, quantity in units.items()],
    )


async def outcomes(*calls: Any) -> list[Any]:
    """Answers and refusals; anything else fails the test."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, PartstreamError):
            raise result
    return results


async def test_two_hundred_buyers_of_the_last_unit(crowd: Crowd) -> None:
    await crowd.have("last", 1)

    results = await outcomes(*(crowd.ask("CreateReservation", wish(buyer, last=1)) for buyer in range(200)))

    refused = [result for result in results if isinstance(result, PartstreamError)]
    assert len(refused) == 199
    assert {error.reason for error in refused} == {"INSUFFICIENT_STOCK"}


async def test_two_hundred_orders_of_the_last_unit(crowd: Crowd) -> None:
    await crowd.have("last", 1)

    done = await asyncio.gather(*(crowd.adjust("last", -1) for _ in range(200)))

    assert sum(done) == 1


async def test_five_hundred_buyers_of_a_bundle_with_shared_components(crowd: Crowd) -> None:
    """Fifty bundles' worth of wheels; frames and bolts are shared with single sales. All lines are held, or none."""
    for part, units in (("wheel", 100), ("frame", 80), ("bolt", 900)):
        await crowd.have(part, units)
    bundles = [crowd.ask("CreateReservation", wish(buyer, wheel=2, frame=1, bolt=4)) for buyer in range(450)]
    singles = [crowd.ask("CreateReservation", wish(buyer, bolt=1, frame=1)) for buyer in range(450, 500)]
    calls = bundles + singles
    random.Random(7).shuffle(calls)

    results = await outcomes(*calls)

    held = [result.reservation for result in results if not isinstance(result, PartstreamError)]
    parts = ("wheel", "frame", "bolt")
    sold = {part: sum(line.quantity for item in held for line in item.lines if line.part_id == part) for part in parts}
    whole = [item for item in held if len(item.lines) == 3]
    assert sold["wheel"] == 2 * len(whole)
    assert sold["frame"] == len(held)
    for part in parts:
        level = await crowd.read(part)
        assert level.reserved == sold[part] <= level.on_hand
    assert sold["frame"] == 80 or sold["wheel"] == 100
    crowd.histories.clear()


async def test_two_admins_from_one_read_state(crowd: Crowd) -> None:
    await crowd.have("bolt", 10)
    for round_ in range(20):
        seen = await crowd.read("bolt")

        requests = [
            pb.SetStockRequest(
                request_id=str(uuid.uuid4()), part_id="bolt", on_hand=round_ + admin, expected_version=seen.version
            )
            for admin in range(2)
        ]
        results = await outcomes(*(crowd.ask("SetStock", request) for request in requests))

        conflicts = [result for result in results if isinstance(result, VersionConflict)]
        (won,) = [result for result in results if not isinstance(result, PartstreamError)]
        assert len(conflicts) == 1
        assert conflicts[0].current == won.level
    crowd.histories.clear()


async def test_counts_against_differences_and_reads(crowd: Crowd) -> None:
    chance = random.Random(11)
    parts = [await crowd.have(f"part-{number}", 20) for number in range(3)]

    async def caller() -> None:
        for _ in range(25):
            part = chance.choice(parts)
            match chance.randrange(4):
                case 0:
                    await crowd.count(part, chance.randrange(20))
                case 1:
                    await crowd.count(part, chance.randrange(20), (await crowd.read(part)).version)
                case 2:
                    await crowd.read(part)
                case _:
                    await crowd.adjust(part, chance.choice([-7, -3, -1, 1, 2, 6]))

    await asyncio.gather(*(caller() for _ in range(24)))


async def test_every_call_twice_at_once(crowd: Crowd) -> None:
    chance = random.Random(13)
    await crowd.have("bolt", 1000)
    first, second = crowd.replicas

    async def twice(number: int) -> None:
        request_id = str(uuid.uuid4())
        if number % 3:
            adjustment = pb.AdjustStockRequest(request_id=request_id, part_id="bolt", delta=-1, reason="storm")
            responses: list[Any] = await outcomes(first.AdjustStock(adjustment), second.AdjustStock(adjustment))
        else:
            wanted = wish(number, bolt=chance.randrange(1, 3))
            responses = await outcomes(first.CreateReservation(wanted), second.CreateReservation(wanted))
        assert sorted(response.replayed for response in responses) == [False, True]
        for response in responses:
            response.replayed = False
        assert responses[0] == responses[1]

    await asyncio.gather(*(twice(number) for number in range(150)))

    assert (await crowd.read("bolt")).on_hand == 1000 - 100
    crowd.histories.clear()


async def test_transfers_both_ways_neither_make_nor_lose_units(crowd: Crowd) -> None:
    await crowd.ask("CreateLocation", pb.CreateLocationRequest(location_id="berlin", name="Berlin"))
    parts = [await crowd.have(f"part-{number}", 40) for number in range(4)]
    crowd.histories.clear()

    async def carry(number: int) -> None:
        there = number % 2 == 0
        request = pb.TransferStockRequest(
            request_id=str(uuid.uuid4()),
            part_id=parts[number % 4],
            from_location_id="main" if there else "berlin",
            to_location_id="berlin" if there else "main",
            quantity=1 + number % 3,
        )
        await outcomes(crowd.ask("TransferStock", request))

    await asyncio.gather(*(carry(number) for number in range(300)))

    for part in parts:
        assert (await crowd.ask("GetStock", pb.GetStockRequest(part_id=part))).stock.on_hand == 40


async def test_batches_in_opposite_orders_do_not_block_each_other(crowd: Crowd) -> None:
    parts = [await crowd.have(f"part-{number:02}", 1_000) for number in range(40)]
    crowd.histories.clear()

    async def batch(number: int) -> None:
        order = parts if number % 2 else parts[::-1]
        items = [pb.StockAdjustment(part_id=part, delta=-1) for part in order]
        await crowd.ask(
            "BatchAdjustStock",
            pb.BatchAdjustStockRequest(request_id=str(uuid.uuid4()), adjustments=items, reason="storm", atomic=True),
        )

    await asyncio.gather(*(batch(number) for number in range(60)))

    levels = (await crowd.ask("BatchGetStock", pb.BatchGetStockRequest(part_ids=parts))).stocks
    assert {stock.on_hand for stock in levels} == {940}
