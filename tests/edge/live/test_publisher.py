"""Subscribing, publishing and coming back, without sockets."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from changelog.cursor import Position
from edge.cache import keys
from edge.live.errors import Restarting, ResyncNeeded
from partstream.content.v1 import part_pb2
from tests.edge.live.histories import STAFF, Shop, last_serial, sent, subscribe


async def test_snapshot_comes_first_then_events() -> None:
    shop = last_serial()
    shop.move("A")
    shop.tell()
    session = shop.enter()

    await subscribe(shop, session, "A", "B")
    (subscribed,) = await sent(shop, session)
    shop.move("A")
    shop.tell()
    (event,) = await sent(shop, session)

    assert (subscribed["type"], subscribed["id"], subscribed["recovered"]) == ("subscribed", "s1", False)
    assert [(part["part_id"], part["version"]) for part in subscribed["parts"]] == [("A", 1), ("B", 0)]
    assert {key: event[key] for key in ("type", "part_id", "version", "available", "in_stock", "low_stock")} == {
        "type": "stock",
        "part_id": "A",
        "version": 2,
        "available": 101,
        "in_stock": True,
        "low_stock": False,
    }
    assert "on_hand" not in event
    assert subscribed["cursor"] != event["cursor"] == shop.publisher.cursor


async def test_snapshot_that_is_ahead_swallows_the_events_it_shows() -> None:
    shop = last_serial()
    shop.move("A")
    shop.tell()
    session = shop.enter()
    shop.move("A")

    await subscribe(shop, session, "A")
    shop.tell()
    frames = await sent(shop, session)
    shop.move("A")
    shop.tell()
    frames += await sent(shop, session)

    assert [frame["type"] for frame in frames] == ["subscribed", "stock"]
    assert [frames[0]["parts"][0]["version"], frames[1]["version"]] == [2, 3]


async def test_staff_get_every_location() -> None:
    shop = last_serial()
    session = shop.enter(STAFF)
    await subscribe(shop, session, "A", mode="all")
    (subscribed,) = await sent(shop, session)

    shop.move("A", "main")
    shop.move("A", "north")
    shop.tell()
    first, second = await sent(shop, session)

    assert subscribed["parts"][0]["locations"] == []
    assert (first["on_hand"], first["version"]) == (100, 1)
    assert (second["on_hand"], second["version"]) == (201, 2)
    assert [place["location_id"] for place in second["locations"]] == ["main", "north"]


async def test_one_text_is_shared_by_an_audience() -> None:
    shop = last_serial()
    sessions = [shop.enter() for _ in range(3)]
    for session in sessions:
        await subscribe(shop, session, "A")
        await sent(shop, session)

    shop.move("A")
    shop.tell()
    events = [session.outbox.take() for session in sessions]
    await shop.publisher.resolve(events[0])  # type: ignore[arg-type]
    texts = [session.render(event) for session, event in zip(sessions, events, strict=True)]  # type: ignore[arg-type]

    assert texts[0] is texts[1] is texts[2]


async def test_category_brings_parts_of_its_subtree() -> None:
    shop = last_serial()
    for category_id, parent_id in (("all", ""), ("leds", "all"), ("fuses", "all")):
        shop.tree.put(part_pb2.Category(category_id=category_id, parent_id=parent_id))
    published = part_pb2.PART_STATUS_PUBLISHED
    shop.write("LED", category_id="leds", status=published)
    shop.write("FUSE", category_id="fuses", status=published)
    shop.tell(keys.CONTENT)
    sessions = {category: shop.enter() for category in ("all", "leds", "fuses")}
    for category, session in sessions.items():
        await subscribe(shop, session, categories=[category])
        await sent(shop, session)

    shop.move("LED")
    shop.tell()
    shop.write("FUSE", title="Fuse")
    shop.tell(keys.CONTENT)
    got = {category: await sent(shop, session) for category, session in sessions.items()}

    assert {category: [(f["type"], f["part_id"]) for f in frames] for category, frames in got.items()} == {
        "all": [("stock", "LED"), ("content", "FUSE")],
        "leds": [("stock", "LED")],
        "fuses": [("content", "FUSE")],
    }


async def test_public_gets_no_event_of_drafts() -> None:
    shop = last_serial()
    public, staff = shop.enter(), shop.enter(STAFF)
    for session in (public, staff):
        await subscribe(shop, session, "A", mode="all")
        await sent(shop, session)

    shop.write("A", title="Secret", status=part_pb2.PART_STATUS_DRAFT)
    shop.write("A", status=part_pb2.PART_STATUS_PUBLISHED, cost=part_pb2.Money(amount_minor=1, currency="EUR"))
    shop.write("A", status=part_pb2.PART_STATUS_ARCHIVED)
    shop.tell(keys.CONTENT)

    assert [(f["version"], f["operation"], f["changed"]) for f in await sent(shop, public)] == [
        (2, "created", ["status"]),
        (3, "deleted", ["status"]),
    ]
    assert [(f["version"], f["operation"], f["changed"]) for f in await sent(shop, staff)] == [
        (1, "created", ["status", "title"]),
        (2, "updated", ["cost", "status"]),
        (3, "updated", ["status"]),
    ]


async def test_no_event_after_unsubscribing() -> None:
    shop = last_serial()
    session = shop.enter()
    await subscribe(shop, session, "A")
    await sent(shop, session)
    shop.move("A")
    shop.tell()

    shop.publisher.unsubscribe(session, "s1")
    shop.move("A")
    shop.tell()

    assert await sent(shop, session) == []


async def test_new_epoch_makes_every_client_resync() -> None:
    shop = last_serial()
    session = shop.enter()
    await subscribe(shop, session, "A")

    shop.publisher.begin(Position(keys.INVENTORY, shop.epochs[keys.CONTENT], 0))

    assert isinstance(session.outbox.closing, ResyncNeeded)


async def test_shutdown_closes_every_client_and_admits_none() -> None:
    shop = last_serial()
    session = shop.enter()

    async def client() -> None:
        await session.outbox.closed()
        shop.publisher.leave(session)

    task = asyncio.create_task(client())
    await shop.publisher.close()
    await task

    assert isinstance(session.outbox.closing, Restarting)
    with pytest.raises(Restarting):
        shop.enter()


@given(
    st.lists(
        st.tuples(st.sampled_from(["move", "tell", "read", "subscribe", "resume"]), st.sampled_from("AB")), max_size=40
    ),
    st.sampled_from(["latest", "all"]),
)
async def test_versions_never_go_back_on_a_connection_and_end_right(steps: list[tuple[str, str]], mode: str) -> None:
    shop = last_serial()
    client = Client(shop, mode)
    await client.connect()

    for step, (action, part_id) in enumerate(steps):
        if action == "move":
            shop.move(part_id, ("main", "north")[step % 2])
        elif action == "tell":
            shop.tell(count=step % 3)
        elif action == "read":
            await client.read()
        elif action == "subscribe":
            await client.subscribe()
        else:
            await client.connect()
    shop.tell()
    await client.read()

    assert client.known == {part_id: shop.stock.read(part_id).version for part_id in "AB"}


class Client:
    """Keeps the newest version of each part, and its cursor, over reconnects."""

    def __init__(self, shop: Shop, mode: str) -> None:
        self.shop = shop
        self.mode = mode
        self.session = shop.enter(STAFF)
        self.cursor = ""
        self.known: dict[str, int] = {}
        self.on_this_connection: dict[str, int] = {}

    async def connect(self) -> None:
        self.shop.publisher.leave(self.session)
        self.session = self.shop.enter(STAFF)
        self.on_this_connection = {}
        await self.subscribe(self.cursor)

    async def subscribe(self, cursor: str = "") -> None:
        await subscribe(self.shop, self.session, "A", "B", mode=self.mode, cursor=cursor)

    async def read(self) -> None:
        for frame in await sent(self.shop, self.session):
            self.cursor = frame["cursor"]
            for part in frame["parts"] if frame["type"] == "subscribed" else [frame]:
                part_id, version = part["part_id"], part["version"]
                assert version >= self.on_this_connection.get(part_id, 0)
                if frame["type"] == "stock" and self.mode == "all":
                    assert version <= self.known.get(part_id, 0) + 1
                self.on_this_connection[part_id] = version
                self.known[part_id] = max(version, self.known.get(part_id, 0))
