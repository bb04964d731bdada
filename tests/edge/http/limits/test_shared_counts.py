"""Several edges share the counts of their callers through Redis, or count alone."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import redis

from chassis.limits import limits
from chassis.rates import READS, Quotas
from edge.http.limits.shared_counts import PREFIX, SharedCounts
from tests.harness.own_redis import OwnRedis

GIVEN = limits("reads=10/h")


class Counting:
    """The counts of one edge."""

    def __init__(self, url: str) -> None:
        self.quotas = Quotas(GIVEN)
        self.shared = SharedCounts(url, self.quotas)

    def read(self, times: int, address: str = "192.0.2.1") -> int:
        """Return how many of the reads were allowed."""
        return sum(self.quotas.of_guest(READS).take(address).allowed for _ in range(times))


@pytest.fixture
async def edges(own_redis: OwnRedis) -> AsyncIterator[list[Counting]]:
    """Two edges over one Redis."""
    async with AsyncExitStack() as stack:
        made = [Counting(own_redis.url) for _ in range(2)]
        for edge in made:
            stack.push_async_callback(edge.shared.close)
        yield made


async def test_two_edges_share_a_limit(edges: list[Counting]) -> None:
    first, second = edges
    assert first.read(6) == 6
    await first.shared.run_once()
    assert second.read(2) == 2
    await second.shared.run_once()

    assert second.read(5) == 2
    assert first.read(1) == 1
    for edge in (second, first):
        await edge.shared.run_once()
    assert first.read(5) == 0


async def test_counts_are_shared_once(edges: list[Counting], own_redis: OwnRedis) -> None:
    first, _ = edges
    first.read(4)
    for _ in range(3):
        await first.shared.run_once()

    with redis.Redis.from_url(own_redis.url) as client:
        names = client.keys()
        assert [client.get(name) for name in names] == [b"4"]
        assert names[0].startswith(f"{PREFIX}:reads:guest:192.0.2.1:".encode())
        assert 0 < client.ttl(names[0]) <= 7_200


async def test_without_redis_each_edge_counts_alone_and_logs_it_once(
    edges: list[Counting], own_redis: OwnRedis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "edge.http.limits")
    first, second = edges
    first.read(4)
    own_redis.stop()
    for edge in (first, second, first):
        edge.read(1)
        await edge.shared.run_once()

    assert first.read(20) == 4
    assert second.read(20) == 9
    own_redis.start()
    await first.shared.run_once()
    await second.shared.run_once()
    assert [first.read(1), second.read(1)] == [0, 0]
    lines = [record.message.partition(":")[0] for record in caplog.records]
    assert (
        lines
        == ["rate limits are counted by this edge alone"] * 2
        + ["rate limits are shared with the other edges again"] * 2
    )


async def test_a_key_of_another_type_does_not_stop_the_others(edges: list[Counting], own_redis: OwnRedis) -> None:
    first, second = edges
    first.read(5)
    with redis.Redis.from_url(own_redis.url) as client:
        client.rpush(f"{PREFIX}:reads:guest:192.0.2.1:{first.quotas.of_guest(READS).window}", "x")
    first.read(6, "192.0.2.2")
    second.read(4, "192.0.2.2")
    for edge in (first, second):
        await edge.shared.run_once()

    assert second.read(5, "192.0.2.2") == 0
    assert first.read(10) == 5
