"""What one address may cost: parts that it watches, work that it causes, snapshots that others wait behind."""

from __future__ import annotations

import asyncio
import dataclasses

import httpx
import pytest

from chassis.limits import limits
from edge.live.client_state import ClientState
from edge.live.errors import LimitReached, Rejected, TooSlow
from edge.live.fair_scheduling import PARTS_A_SLICE, SnapshotQueue
from edge.live.limits import AddressAllowance, LiveConnectionLimiter, LiveLimits, TokenBucket, WatchedParts, live_limits
from edge.live.outbox import Outbox
from edge.settings import EdgeSettings
from tests.edge.live.conftest import LiveClient, LiveServer
from tests.edge.live.histories import Shop, last_serial, sent, subscribe
from tests.edge.routes.shop import PART, open_shop, stock
from tests.harness.no_limits import without_rates


class Clock:
    """Seconds, moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def parts(count: int, first: int = 0) -> list[str]:
    return [f"P-{number}" for number in range(first, first + count)]


def test_the_setting_overrides_the_limits() -> None:
    given = live_limits(
        limits(
            "connections_per_address=20000,live_work=100/10s,live_parts=7,live_parts_per_address=6,"
            "live_parts_per_connection=5"
        )
    )

    assert (given.connections_per_address, given.connections) == (20_000, 20_000)
    assert (given.work_per_second, given.work_burst) == (10.0, 100)
    assert (given.parts, given.parts_per_address, given.parts_per_connection) == (7, 6, 5)
    assert live_limits(limits("")) == LiveLimits()


def test_a_network_of_ipv6_is_one_address() -> None:
    door = LiveConnectionLimiter(LiveLimits(connections_per_address=2))
    first = door.enter("2001:db8::1")

    assert door.enter("2001:db8::2") is first
    with pytest.raises(LimitReached):
        door.enter("2001:db8::3")
    door.leave(first)
    assert door.enter("2001:db8::3") is first
    door.enter("2001:db8:0:1::1")


def test_work_beyond_the_rate_waits_and_too_much_is_rejected() -> None:
    clock = Clock()
    bucket = TokenBucket(10.0, 20, clock)

    assert bucket.reserve(15, 5.0) == 0.0
    assert bucket.reserve(15, 5.0) == 1.0  # five are there, ten come in a second
    assert bucket.reserve(50, 5.0) is None
    assert bucket.reserve(10, 5.0) == 2.0
    clock.now += 100
    assert bucket.reserve(200, 5.0) == 18.0  # more than ever is there at once, and the bucket is full
    assert bucket.reserve(1, 5.0) is None


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"parts_per_connection": 3}, "LIMIT_REACHED"),
        ({"parts_per_address": 3}, "LIMIT_REACHED"),
        ({"parts": 3}, "OVERLOADED"),
    ],
)
async def test_parts_are_counted_over_subscriptions(given: dict[str, int], reason: str) -> None:
    shop = Shop(limits=dataclasses.replace(LiveLimits(), **given))
    shop.begin()
    allowance = AddressAllowance("192.0.2.1", shop.limits, WatchedParts(shop.limits.parts))
    session = ClientState(shop.limits, shop.tree, allowance=allowance)
    shop.publisher.enter(session)
    await subscribe(shop, session, "A", "B", id="s1")

    with pytest.raises(Rejected) as refused:
        await subscribe(shop, session, "A", "C", id="s2")
    assert refused.value.reason == reason
    with pytest.raises(Rejected):
        await subscribe(shop, session, "A", "B", "C", "D", id="s1")
    assert set(session.parts) == {"A", "B"}
    await subscribe(shop, session, "C", "D", "E", id="s1")
    assert set(session.parts) == {"C", "D", "E"}
    shop.publisher.leave(session)
    assert session.allowance.parts == 0
    await subscribe(shop, shop.enter(), "A", "B", "C")


async def test_categories_count_including_unknown_ones() -> None:
    shop = Shop(limits=dataclasses.replace(LiveLimits(), parts_per_connection=10))
    shop.begin()
    session = shop.enter()

    await subscribe(shop, session, "A", categories=[f"unknown-{number}" for number in range(9)])
    with pytest.raises(Rejected):
        await subscribe(shop, session, id="s2", categories=["one-more"])
    shop.publisher.leave(session)
    assert session.allowance.parts == 0


async def test_connections_of_an_address_share_what_they_may_watch() -> None:
    shop = last_serial()
    allowance = AddressAllowance("192.0.2.1", dataclasses.replace(LiveLimits(), parts_per_address=3), WatchedParts(10))
    first, second = (ClientState(LiveLimits(), shop.tree, allowance=allowance) for _ in range(2))
    for session in (first, second):
        shop.publisher.enter(session)
    await subscribe(shop, first, "A", "B")

    with pytest.raises(Rejected):
        await subscribe(shop, second, "A", "B")
    shop.publisher.leave(first)
    await subscribe(shop, second, "A", "B")


async def test_part_of_two_subscriptions_stays_until_both_end() -> None:
    shop = last_serial()
    session = shop.enter()
    await subscribe(shop, session, "A", "B", id="s1")
    await subscribe(shop, session, "B", "C", id="s2")

    shop.publisher.unsubscribe(session, "s1")
    await sent(shop, session)
    for part_id in ("A", "B", "C"):
        shop.move(part_id)
    shop.tell()

    assert [frame["part_id"] for frame in await sent(shop, session)] == ["B", "C"]


async def test_a_subscription_costs_what_it_names_whatever_else_is_held() -> None:
    """It once cost as much as everything that the connection had subscribed to, four times over."""
    shop = last_serial()
    session = shop.enter()
    loop = asyncio.get_running_loop()
    took: list[float] = []
    for number in range(40):
        began = loop.time()
        await subscribe(shop, session, *parts(250, 250 * number), id=f"s{number}")
        took.append(loop.time() - began)

    assert min(took[-20:]) < 5 * min(took[:5])


async def test_snapshot_permits_are_fair_by_address() -> None:
    queue = SnapshotQueue(at_once=2, per_address=1)
    order: list[str] = []

    async def fill(address: str, number: int) -> None:
        async with queue.permit(address):
            await asyncio.sleep(0)
            order.append(f"{address}-{number}")

    filling = [fill("greedy", number) for number in range(10)] + [fill("other", number) for number in range(2)]
    await asyncio.gather(*filling)

    assert order.index("other-1") <= 4
    assert [name for name in order if name.startswith("greedy")] == [f"greedy-{number}" for number in range(10)]


async def test_permits_of_cancelled_waiters_go_to_others() -> None:
    queue = SnapshotQueue(at_once=1, per_address=1)
    entered: list[str] = []
    may_leave = asyncio.Event()

    async def fill(address: str) -> None:
        async with queue.permit(address):
            entered.append(address)
            await may_leave.wait()

    first, given_up, last = (asyncio.ensure_future(fill(address)) for address in ("a", "b", "c"))
    await asyncio.sleep(0)
    given_up.cancel()
    first.cancel()
    await asyncio.wait([first, given_up])
    may_leave.set()
    await last

    assert entered == ["a", "c"]


async def test_other_work_runs_between_the_slices_of_a_snapshot() -> None:
    shop = last_serial()
    session = shop.enter()
    rounds = 0

    def count() -> None:
        nonlocal rounds
        rounds += 1
        asyncio.get_running_loop().call_soon(count)

    await subscribe(shop, session, *parts(20 * PARTS_A_SLICE))
    count()
    (frame,) = await sent(shop, session)

    assert len(frame["parts"]) == 20 * PARTS_A_SLICE
    assert rounds >= 20


async def test_a_client_that_reads_no_responses_is_too_slow() -> None:
    outbox = Outbox(LiveLimits(own_frames=10))
    for _ in range(10):
        outbox.put("{}")
    while outbox.take() is not None:
        pass
    for _ in range(10):
        outbox.put("{}")
    assert outbox.closing is None

    outbox.put("{}")

    assert isinstance(outbox.closing, TooSlow)


@pytest.fixture
def settings(settings: EdgeSettings) -> EdgeSettings:
    """So much work at once, and next to none later."""
    return dataclasses.replace(settings, limits=without_rates("live_work=2000/h"))


@pytest.fixture
async def shop(admin: httpx.AsyncClient) -> None:
    """A part with ten in stock."""
    await open_shop(admin)
    await stock(admin, 10)


async def test_address_that_subscribes_too_fast_is_rejected_and_stays_connected(live: LiveServer, shop: None) -> None:
    first, second = await live.open(), await live.open()
    wanted = [PART["part_id"], *parts(900)]

    assert (await first.ask("subscribe", id="s1", parts=wanted))["type"] == "subscribed"
    refused = await second.ask("subscribe", id="s2", parts=wanted)

    assert (refused["type"], refused["reason"], refused["id"]) == ("error", "OVERLOADED", "s2")
    assert await second.ask("ping") == {"type": "pong"}
    assert (await second.ask("subscribe", id="s2", parts=wanted[:10]))["type"] == "subscribed"


async def test_resuming_from_far_back_costs_more(live: LiveServer, admin: httpx.AsyncClient, shop: None) -> None:
    client: LiveClient = await live.open()
    cursor = (await client.ask("subscribe", id="s1", parts=[PART["part_id"]]))["cursor"]
    for _ in range(41):
        response = await admin.post(f"/admin/parts/{PART['part_id']}/stock/adjust", json={"delta": 1, "reason": "x"})
        assert response.status_code == 200
    while (await client.hear()).get("available") != 51:
        pass

    assert live.edge.following.publisher.missed(cursor) == 41
    assert live.edge.following.publisher.missed("") == 0
