"""A client that takes no frame is let go; one that is slow does not hold up the others."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from chassis.caller import ANONYMOUS, Caller
from chassis.revocation.listing import RevocationList
from edge.live.errors import TooSlow
from edge.live.limits import LiveLimits
from edge.live.socket import LiveConnection
from tests.edge.live.histories import Shop, subscribe


class Wire:
    """The listener's side of a socket whose client takes a frame only on request."""

    headers: dict[str, str]

    def __init__(self) -> None:
        self.headers = {}
        self.taken: list[dict[str, Any]] = []
        self.takes = asyncio.Semaphore(0)
        self.delivered = asyncio.Semaphore(0)
        self.offered = asyncio.Event()

    async def take(self, count: int) -> None:
        """Take so many frames."""
        for _ in range(count):
            self.takes.release()
        async with asyncio.timeout(5):
            for _ in range(count):
                await self.delivered.acquire()

    async def receive(self) -> Any:
        await asyncio.Event().wait()

    async def send(self, message: dict[str, Any]) -> None:
        self.offered.set()
        await self.takes.acquire()
        self.delivered.release()
        self.taken.append(msgspec.json.decode(message["text"]))


class NoUsers:
    """An identity store without users."""

    async def identify(self, connection: Any) -> Caller:
        return ANONYMOUS

    async def verify(self, token: str) -> Caller:
        return ANONYMOUS


def connect(shop: Shop) -> tuple[Wire, LiveConnection, Any]:
    session = shop.enter()
    wire = Wire()
    return wire, LiveConnection(wire, session, shop.publisher, NoUsers(), RevocationList()), session  # type: ignore[arg-type]


async def test_client_that_receives_nothing_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.live.socket.RECHECK_SECONDS", 0.01)
    shop = Shop(limits=LiveLimits(send_seconds=0.01))
    shop.begin()
    _, connection, session = connect(shop)
    await subscribe(shop, session, "A")

    with pytest.raises(TooSlow):
        await connection.run()


async def test_slow_client_of_every_event_gets_all_of_them_once_it_reads() -> None:
    """A socket used to hold what waited for it, and was closed when that was more than 1 MiB."""
    shop = Shop(limits=LiveLimits(queue_bytes=10_000))
    shop.begin()
    wire, connection, session = connect(shop)
    await subscribe(shop, session, "A", mode="all")
    running = asyncio.create_task(connection.run())
    await wire.offered.wait()
    for _ in range(3000):
        shop.move("A")
    shop.tell()
    assert len(session.outbox) < 100

    await wire.take(2000)
    shop.move("A")
    shop.tell()
    while wire.taken[-1].get("version") != 3001:
        await wire.take(1)
    running.cancel()

    versions = [frame["version"] for frame in wire.taken if frame["type"] == "stock"]
    assert sorted(set(versions)) == list(range(1, 3002))
    assert versions == sorted(versions)


async def test_slow_client_of_states_gets_the_newest() -> None:
    shop = Shop()
    shop.begin()
    wire, connection, session = connect(shop)
    await subscribe(shop, session, "A", "B")
    running = asyncio.create_task(connection.run())
    await wire.offered.wait()
    for part_id in "AB" * 500:
        shop.move(part_id)
    shop.tell()

    await wire.take(3)
    running.cancel()

    assert [(frame["part_id"], frame["version"]) for frame in wire.taken[1:]] == [("A", 500), ("B", 500)]


async def test_quiet_client_gets_a_bookmark_and_one_that_takes_nothing_gets_none() -> None:
    shop = Shop(limits=LiveLimits(bookmark_seconds=0.01))
    shop.begin()
    quiet, connection, _ = connect(shop)
    stuck, stuck_connection, session = connect(shop)
    await subscribe(shop, session, "A")
    running = [asyncio.create_task(each.run()) for each in (connection, stuck_connection)]

    await quiet.take(3)
    await stuck.take(2)
    for task in running:
        task.cancel()

    assert [frame["type"] for frame in quiet.taken] == ["bookmark"] * 3
    assert {frame["cursor"] for frame in quiet.taken} == {shop.publisher.cursor}
    assert [frame["type"] for frame in stuck.taken] == ["subscribed", "bookmark"]
