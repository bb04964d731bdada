"""Coming back with a cursor: everything that was missed, or a snapshot."""

from __future__ import annotations

import asyncio

import pytest

from edge.cache import keys
from edge.live.change_history import Ring
from edge.live.errors import Rejected, TooSlow
from edge.live.events import StockEvent
from edge.live.limits import LiveLimits
from partstream.content.v1 import part_pb2
from tests.edge.live.histories import Shop, last_serial, one_sent, sent, subscribe


async def test_resuming_client_gets_exactly_what_it_missed() -> None:
    shop = last_serial()
    session = shop.enter()
    await subscribe(shop, session, "A", "B", mode="all")
    await sent(shop, session)
    for part_id in "ABA":
        shop.move(part_id)
    shop.tell()
    cursor = (await sent(shop, session))[0]["cursor"]
    shop.publisher.leave(session)
    for part_id in "ACAB":
        shop.move(part_id)
    shop.tell()

    again = shop.enter()
    await subscribe(shop, again, "A", "B", mode="all", cursor=cursor)
    resumed = await sent(shop, again)

    assert (resumed[0]["recovered"], resumed[0]["parts"]) == (True, [])
    assert [(frame["part_id"], frame["version"]) for frame in resumed[1:]] == [
        ("B", 1),
        ("A", 2),
        ("A", 3),
        ("A", 4),
        ("B", 2),
    ]


async def test_resuming_client_of_states_gets_the_newest_of_what_it_missed() -> None:
    shop = last_serial()
    session = shop.enter()
    await subscribe(shop, session, "A", "B")
    cursor = (await sent(shop, session))[0]["cursor"]
    for part_id in "AABA":
        shop.move(part_id)
    shop.tell()

    again = shop.enter()
    await subscribe(shop, again, "A", "B", cursor=cursor)
    resumed = await sent(shop, again)

    assert [(frame["part_id"], frame["version"]) for frame in resumed[1:]] == [("B", 1), ("A", 3)]


async def test_client_disconnected_too_long_gets_a_snapshot() -> None:
    shop = last_serial(Ring(max_entries=2))
    session = shop.enter()
    await subscribe(shop, session, "A")
    cursor = (await sent(shop, session))[0]["cursor"]
    for _ in range(3):
        shop.move("A")
    shop.tell()

    again = shop.enter()
    await subscribe(shop, again, "A", cursor=cursor)
    (resumed,) = await sent(shop, again)

    assert resumed["recovered"] is False
    assert resumed["parts"][0]["version"] == 3


async def test_client_of_every_event_catches_up_with_more_than_may_wait_for_it() -> None:
    shop = Shop(limits=LiveLimits(queue_bytes=10_000))
    shop.begin()
    shop.write("A", status=part_pb2.PART_STATUS_PUBLISHED)
    shop.tell(keys.CONTENT)
    session = shop.enter()
    await subscribe(shop, session, "A", "B", mode="all")
    cursor = (await sent(shop, session))[0]["cursor"]
    for number in range(200):
        shop.move("AB"[number % 2], ("main", "north")[number % 3 == 0])
        shop.write("A", title=f"{number}")
    shop.tell()
    shop.tell(keys.CONTENT)
    shop.publisher.leave(session)

    again = shop.enter()
    await subscribe(shop, again, "A", "B", mode="all", cursor=cursor)
    shop.move("A")
    shop.tell()
    resumed = await sent(shop, again)

    assert (resumed[0]["recovered"], again.outbox.closing) == (True, None)
    known = [(frame["type"], frame["part_id"], frame["version"]) for frame in resumed[1:]]
    assert [version for kind, part_id, version in known if (kind, part_id) == ("stock", "A")] == list(range(1, 102))
    assert [version for kind, part_id, version in known if (kind, part_id) == ("stock", "B")] == list(range(1, 101))
    assert [version for kind, _, version in known if kind == "content"] == list(range(2, 202))
    assert resumed[-1]["available"] == sum(level.available for level in shop.stock.read("A").levels)
    assert resumed[-1]["cursor"] == shop.publisher.cursor


async def test_client_may_disconnect_anywhere_in_what_it_missed_and_resume() -> None:
    shop = last_serial()
    session = shop.enter()
    await subscribe(shop, session, "A", mode="all")
    cursor = (await sent(shop, session))[0]["cursor"]
    for _ in range(30):
        shop.move("A")
    shop.tell()

    known: list[int] = []
    while len(known) < 30:
        again = shop.enter()
        await subscribe(shop, again, "A", mode="all", cursor=cursor)
        frames = [await one_sent(shop, again) for _ in range(8)][1:]
        known += [frame["version"] for frame in frames if frame]
        cursor = next(frame["cursor"] for frame in reversed(frames) if frame)
        shop.publisher.leave(again)

    assert known == list(range(1, 31))


async def test_client_that_takes_what_it_missed_too_slowly_is_let_go() -> None:
    shop = last_serial(Ring(max_entries=20))
    session = shop.enter()
    await subscribe(shop, session, "A", mode="all")
    cursor = (await sent(shop, session))[0]["cursor"]
    for _ in range(20):
        shop.move("A")
    shop.tell()
    again = shop.enter()
    await subscribe(shop, again, "A", mode="all", cursor=cursor)
    assert (await one_sent(shop, again) or {})["recovered"]
    assert (await one_sent(shop, again) or {})["version"] == 1

    for _ in range(10):
        shop.move("B")
    shop.tell()

    assert await one_sent(shop, again) is None
    assert isinstance(again.outbox.closing, TooSlow)


async def test_client_of_states_that_missed_more_parts_than_may_wait_gets_a_snapshot() -> None:
    shop = Shop(limits=LiveLimits(pending_parts=20))
    shop.begin()
    shop.tree.put(part_pb2.Category(category_id="leds"))
    for number in range(21):
        shop.write(f"LED-{number}", category_id="leds", status=part_pb2.PART_STATUS_PUBLISHED)
    shop.tell(keys.CONTENT)
    cursor = shop.publisher.cursor
    for number in range(21):
        shop.write(f"LED-{number}", title="new")
        shop.tell(keys.CONTENT)
        if number in {9, 10}:
            session = shop.enter()
            await subscribe(shop, session, "LED-1", categories=["leds"], cursor=cursor)
            (resumed, *events) = await sent(shop, session)
            assert (resumed["recovered"], len(events)) == ((True, 10) if number == 9 else (False, 0))


async def test_cursor_of_another_history_gets_a_snapshot() -> None:
    other = last_serial()
    shop = last_serial()
    session = shop.enter()

    await subscribe(shop, session, "A", cursor=other.publisher.cursor)
    (subscribed,) = await sent(shop, session)

    assert subscribed["recovered"] is False


async def test_cursor_ahead_of_this_process_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.live.publisher.AHEAD_SECONDS", 0.01)
    shop = last_serial()
    shop.move("A")
    ahead = shop.cursor(keys.INVENTORY, 1)
    session = shop.enter()

    await subscribe(shop, session, "A", cursor=ahead)
    (subscribed,) = await sent(shop, session)

    assert subscribed["recovered"] is False
    assert subscribed["parts"][0]["version"] == 1


async def test_unreadable_cursor_is_rejected() -> None:
    shop = last_serial()

    with pytest.raises(Rejected) as refusal:
        await subscribe(shop, shop.enter(), "A", cursor="nonsense")

    assert refusal.value.reason == "CURSOR_MALFORMED"


async def test_missed_event_whose_state_was_evicted_is_sent() -> None:
    shop = Shop()
    shop.begin()
    shop.tree.put(part_pb2.Category(category_id="leds"))
    cursor = shop.publisher.cursor
    for number in range(3):
        shop.write(f"LED-{number}", category_id="leds", status=part_pb2.PART_STATUS_PUBLISHED)
        shop.move(f"LED-{number}")
    shop.tell()
    session = shop.enter()
    await subscribe(shop, session, categories=["leds"], mode="all", cursor=cursor)
    assert (await one_sent(shop, session) or {})["recovered"]
    event = session.outbox.take()
    assert isinstance(event, StockEvent)
    shop.publisher._states.forget("LED-0")

    async with asyncio.timeout(5):
        await shop.publisher.resolve(event)

    assert (event.part_id, event.version, event.state.category_id) == ("LED-0", 1, "leds")
