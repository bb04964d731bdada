"""What each call of the shared tier returns while Redis is down, and how it recovers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from changelog.cursor import Position
from edge.cache import keys
from edge.cache.breaker import FAILURES_TO_OPEN, CircuitBreaker, SharedTierUnavailable
from edge.cache.retry import RetryQueue
from edge.cache.shared import SharedCache
from edge.cache.values import Listing
from tests.edge.cache.conftest import Edge
from tests.edge.cache.histories import at
from tests.edge.live.histories import Shop
from tests.harness.own_redis import OwnRedis


@pytest.fixture
async def down(free_port: int) -> AsyncIterator[SharedCache]:
    """A tier whose Redis does not run."""
    made = SharedCache(f"redis://127.0.0.1:{free_port}/0")
    yield made
    await made.close()


async def test_reads_miss(down: SharedCache) -> None:
    epoch = at(1).epoch

    assert await down.read(keys.STOCK, epoch, {"A": 0}) == {}
    assert await down.read_tagged(keys.LISTING, epoch, "q", ("parts",), 0) is None
    assert await down.ping() is False


async def test_fills_are_not_stored(down: SharedCache) -> None:
    assert await down.fill(keys.LISTING, {"q": Listing(())}, at(1, "content"), ("parts",)) == {"q": False}


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("position", ("inventory",)),
        ("begin", (at(1),)),
        ("apply", (0, at(1), [])),
        ("drop", (keys.STOCK, at(1).epoch, ["A"])),
        ("drop_all", ("inventory", at(1).epoch)),
    ],
)
async def test_applying_raises(down: SharedCache, call: str, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(SharedTierUnavailable):
        await getattr(down, call)(*arguments)


async def test_redis_is_not_called_again_for_a_while(free_port: int) -> None:
    now = [0.0]
    shared = SharedCache(f"redis://127.0.0.1:{free_port}/0", CircuitBreaker(clock=lambda: now[0], spread=lambda: 1.0))
    for _ in range(FAILURES_TO_OPEN):
        assert shared.is_usable
        await shared.ping()

    before_the_pause_ends = shared.is_usable
    now[0] = 0.6
    after_it = shared.is_usable
    await shared.ping()

    assert (before_the_pause_ends, after_it, shared.is_usable) == (False, True, False)
    await shared.close()


async def test_invalidations_wait_and_too_many_become_one(down: SharedCache) -> None:
    edge = Edge(Shop(), down)
    await edge.begin(feeds_shared=False)
    queue = RetryQueue(down, edge.memory, max_waiting=3)

    for part_id in "AABC":
        queue.put(keys.STOCK, part_id)
    waiting = len(queue)
    queue.put(keys.STOCK, "D")
    queue.put(keys.STOCK, "E")

    assert (waiting, len(queue)) == (3, 1)


async def test_everything_catches_up_when_redis_is_available(own_redis: OwnRedis) -> None:
    shop = Shop()
    shop.move("A")
    shop.move("B")
    shared = SharedCache(own_redis.url, CircuitBreaker(spread=lambda: 0.0))
    edge = Edge(shop, shared)
    await edge.begin(feeds_shared=True)
    for part_id in "AB":
        await edge.cache.get(keys.STOCK, part_id)
    await edge.settle()

    own_redis.stop()
    shop.move("A")
    await edge.follow()
    feeding = asyncio.create_task(edge.feed_shared())
    await edge.cache.invalidate_part_cache("B")
    while_down = await edge.cache.get(keys.STOCK, "A")
    own_redis.start()
    await feeding
    async with asyncio.timeout(20):
        while len(edge.retries):
            await edge.retries.run_once()
            await asyncio.sleep(0)
    epoch = shop.epochs["inventory"]
    held = await shared.read(keys.STOCK, epoch, {"A": 0, "B": 0})

    assert while_down.value.version == 2
    assert await shared.position("inventory") == Position("inventory", epoch, 3)
    assert "B" not in held
    assert all(hit.value.version == 2 for hit in held.values())
    await shared.close()
