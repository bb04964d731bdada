"""A transaction that is larger than the ring: a client that keeps reading gets every change of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from changelog.cursor import Position, decode
from changelog.follower import ChangeBatch
from chassis.errors import CursorCompacted
from edge.cache import keys
from edge.live.change_history import LogPages, Ring
from edge.live.client_state import ClientState
from edge.live.errors import CloseSocket, ResyncNeeded, TooSlow
from edge.live.limits import LiveLimits
from partstream.content.v1 import part_pb2
from tests.edge.live.histories import STAFF, Shop, one_sent, sent, subscribe

PUBLISHED = part_pb2.PART_STATUS_PUBLISHED
DRAFT = part_pb2.PART_STATUS_DRAFT


class ShopSource:
    """A log of a shop as a service serves it, some changes in a message."""

    def __init__(self, log: str, most: int) -> None:
        self.log = log
        self.shop: Shop | None = None
        self.oldest = 0
        self.reads = 0
        self._most = most

    async def watch(self, cursor: str, bookmark_seconds: float) -> AsyncGenerator[ChangeBatch, None]:
        assert self.shop is not None
        after = decode(cursor)[self.log].revision
        if after < self.oldest:
            raise CursorCompacted("Compacted.")
        self.reads += 1
        yield ChangeBatch(cursor, [], fragment=False)
        entries: list[Any] = self.shop.stock.log if self.log == keys.INVENTORY else self.shop.content_log
        changes = entries[after : after + self._most]
        if changes:
            yield ChangeBatch(self.shop.cursor(self.log, changes[-1].revision), changes, fragment=True)
        await asyncio.Event().wait()

    def snapshot(self) -> AsyncGenerator[tuple[str, Any], None]:
        raise NotImplementedError


class LoggedShop(Shop):
    """A shop that remembers twenty changes, and whose logs have all."""

    def __init__(self) -> None:
        self.sources = {log: ShopSource(log, 50) for log in keys.LOGS}
        limits = LiveLimits(queue_bytes=4_000, pending_parts=20)
        super().__init__(Ring(max_entries=20), limits, LogPages(self.sources))
        for source in self.sources.values():
            source.shop = self
        self.begin()


def stock_of(frames: list[dict[str, Any]]) -> list[tuple[str, int]]:
    return [(frame["part_id"], frame["version"]) for frame in frames if frame["type"] == "stock"]


def position_of(cursor: str, log: str) -> Position:
    return decode(cursor)[log]


async def all_sent(shop: Shop, session: ClientState) -> list[dict[str, Any]]:
    async with asyncio.timeout(20):
        return await sent(shop, session)


@pytest.mark.parametrize("mode", ["latest", "all"])
async def test_a_transaction_larger_than_the_ring_reaches_a_client_that_reads(mode: str) -> None:
    shop = LoggedShop()
    shop.tree.put(part_pb2.Category(category_id="leds"))
    for number in range(300):
        shop.write(f"LED-{number:03}", category_id="leds", status=PUBLISHED)
    shop.tell(keys.CONTENT)
    session = shop.enter()
    await subscribe(shop, session, categories=["leds"], mode=mode)
    await all_sent(shop, session)

    for number in range(300):
        shop.move(f"LED-{number:03}")
    shop.tell()
    frames = await all_sent(shop, session)
    shop.move("LED-000")
    shop.tell()
    frames += await all_sent(shop, session)

    assert session.outbox.closing is None
    assert sorted(set(stock_of(frames))) == sorted([(f"LED-{n:03}", 1) for n in range(300)] + [("LED-000", 2)])
    revisions = [position_of(frame["cursor"], keys.INVENTORY).revision for frame in frames]
    assert revisions == sorted(revisions)
    assert frames[-1]["cursor"] == shop.publisher.cursor


async def test_a_client_resumes_inside_a_transaction_that_the_ring_does_not_hold() -> None:
    shop = LoggedShop()
    shop.write("A", status=PUBLISHED)
    shop.tell(keys.CONTENT)
    session = shop.enter()
    await subscribe(shop, session, "A", "B", mode="all")
    cursor = (await all_sent(shop, session))[0]["cursor"]
    shop.publisher.leave(session)
    for number in range(400):
        shop.move("AB"[number % 2], ("main", "north")[number % 3 == 0])
        shop.write("A", title=f"{number}")
        shop.tell()
        shop.tell(keys.CONTENT)

    known: list[tuple[str, str, int]] = []
    for _ in range(40):
        again = shop.enter()
        await subscribe(shop, again, "A", "B", mode="all", cursor=cursor)
        subscribed = await one_sent(shop, again)
        assert subscribed is not None
        assert (subscribed["recovered"], subscribed["parts"]) == (True, [])
        for _ in range(100):
            frame = await one_sent(shop, again)
            if frame is not None and frame["cursor"] != cursor:
                known.append((frame["type"], frame["part_id"], frame["version"]))
                cursor = frame["cursor"]
        shop.publisher.leave(again)

    by_part = {
        (kind, part_id): [version for k, p, version in known if (k, p) == (kind, part_id)]
        for kind, part_id in {(k, p) for k, p, _ in known}
    }
    assert by_part["content", "A"] == list(range(2, 402))
    for part_id in "AB":
        versions = by_part["stock", part_id]
        assert (versions == sorted(versions), len(versions), versions[-1]) == (True, 200, 200)


async def test_what_the_logs_no_longer_have_is_a_snapshot() -> None:
    shop = LoggedShop()
    cursor = shop.publisher.cursor
    for _ in range(50):
        shop.move("A")
    shop.tell()
    shop.sources[keys.INVENTORY].oldest = 10

    session = shop.enter()
    await subscribe(shop, session, "A", mode="all", cursor=cursor)
    (subscribed,) = await all_sent(shop, session)

    assert (subscribed["recovered"], subscribed["parts"][0]["version"]) == (False, 50)


async def test_lagging_client_gets_a_snapshot_when_the_log_was_compacted() -> None:
    shop = LoggedShop()
    session = shop.enter()
    await subscribe(shop, session, "A", mode="all")
    await all_sent(shop, session)
    for _ in range(300):
        shop.move("A")
    shop.tell()
    shop.sources[keys.INVENTORY].oldest = 290

    with pytest.raises(ResyncNeeded):
        await all_sent(shop, session)


async def test_without_logs_a_client_whose_position_left_the_ring_is_too_slow() -> None:
    shop = Shop(Ring(max_entries=20), LiveLimits(queue_bytes=4_000))
    shop.begin()
    session = shop.enter()
    await subscribe(shop, session, "A", mode="all")
    await all_sent(shop, session)
    for _ in range(300):
        shop.move("A")
    shop.tell()

    await all_sent(shop, session)

    why: CloseSocket | None = session.outbox.closing
    assert isinstance(why, TooSlow)


async def test_clients_that_lag_together_read_a_page_once() -> None:
    shop = LoggedShop()
    sessions = [shop.enter() for _ in range(10)]
    for session in sessions:
        await subscribe(shop, session, "A", mode="all")
        await all_sent(shop, session)
    for _ in range(300):
        shop.move("A")
    shop.tell()

    frames = await asyncio.gather(*(all_sent(shop, session) for session in sessions))

    assert all(sorted(set(stock_of(each))) == [("A", version) for version in range(1, 301)] for each in frames)
    assert shop.sources[keys.INVENTORY].reads <= 7


async def test_lagging_public_client_gets_no_stock_from_before_publication() -> None:
    shop = LoggedShop()
    shop.tree.put(part_pb2.Category(category_id="leds"))
    for number in range(60):
        shop.write(f"LED-{number:02}", category_id="leds", status=DRAFT)
    shop.tell(keys.CONTENT)
    public, staff = shop.enter(), shop.enter(STAFF)
    for session in (public, staff):
        await subscribe(shop, session, categories=["leds"], mode="all")
        await all_sent(shop, session)

    for number in range(60):
        shop.move(f"LED-{number:02}")
        shop.move(f"LED-{number:02}")
    shop.tell()
    for number in range(60):
        shop.write(f"LED-{number:02}", status=PUBLISHED)
    shop.tell(keys.CONTENT)
    shop.move("LED-00")
    shop.tell()
    frames = await all_sent(shop, public)

    known = set(stock_of(frames))
    assert known - {("LED-00", 2)} == {(f"LED-{n:02}", 2) for n in range(1, 60)} | {("LED-00", 3)}
    assert len([frame for frame in frames if frame.get("operation") == "created"]) >= 60
    assert ("LED-01", 1) in stock_of(await all_sent(shop, staff))


async def test_a_snapshot_of_a_category_has_its_published_parts_and_those_below() -> None:
    shop = LoggedShop()
    shop.tree.put(part_pb2.Category(category_id="light"))
    shop.tree.put(part_pb2.Category(category_id="leds", parent_id="light"))
    for number in range(10):
        shop.write(f"LED-{number}", category_id=("light", "leds")[number % 2], status=(PUBLISHED, DRAFT)[number == 9])
        shop.move(f"LED-{number}")
    shop.write("RES", category_id="other", status=PUBLISHED)
    for log in keys.LOGS:
        shop.tell(log)

    session = shop.enter()
    await subscribe(shop, session, "RES", categories=["light", "leds"])
    (subscribed,) = await all_sent(shop, session)

    assert subscribed["recovered"] is False
    assert sorted(part["part_id"] for part in subscribed["parts"]) == [f"LED-{n}" for n in range(9)] + ["RES"]
    assert {part["version"] for part in subscribed["parts"]} == {0, 1}


async def test_a_large_snapshot_comes_in_frames_of_which_only_the_last_has_a_cursor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edge.live.snapshot.PARTS_PER_FRAME", 4)
    monkeypatch.setattr("edge.live.snapshot.READ_AT_ONCE", 5)
    shop = LoggedShop()
    shop.tree.put(part_pb2.Category(category_id="leds"))
    for number in range(30):
        shop.write(f"LED-{number:02}", category_id="leds", status=PUBLISHED)
    shop.tell(keys.CONTENT)
    session = shop.enter()
    await subscribe(shop, session, categories=["leds"])
    shop.move("LED-07")
    shop.tell()

    frames = await all_sent(shop, session)

    snapshot = [frame for frame in frames if frame["type"] == "subscribed"]
    assert frames[: len(snapshot)] == snapshot
    assert [part["part_id"] for frame in snapshot for part in frame["parts"]] == [f"LED-{n:02}" for n in range(30)]
    assert max(len(frame["parts"]) for frame in snapshot) == 4
    assert {(frame.get("more", False), frame["cursor"] != "") for frame in snapshot[:-1]} == {(True, False)}
    assert "more" not in snapshot[-1]
    assert position_of(snapshot[-1]["cursor"], keys.INVENTORY).revision == 0
    assert stock_of(frames) in ([], [("LED-07", 1)])


async def test_unknown_category_is_an_empty_snapshot() -> None:
    shop = LoggedShop()
    session = shop.enter()

    await subscribe(shop, session, categories=["nothing"])

    assert [frame["parts"] for frame in await all_sent(shop, session)] == [[]]
