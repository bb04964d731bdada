"""What two processes get from one Redis, and when they must not take it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import redis

from edge.cache import keys
from edge.cache.breaker import SharedTierBehind
from edge.cache.shared import SharedCache
from edge.cache.values import Listing
from tests.edge.cache.conftest import Edge
from tests.edge.live.histories import Shop

pytestmark = pytest.mark.parametrize("shared", ["redis"], indirect=True)


@pytest.fixture
async def other(edge: Edge, shop: Shop, shared: SharedCache) -> Edge:
    """A second process over the same Redis; the first one applies the logs to it."""
    made = Edge(shop, shared)
    await made.begin(feeds_shared=False)
    return made


async def test_one_process_fills_the_other_hits(edge: Edge, other: Edge) -> None:
    await edge.cache.get(keys.STOCK, "A")
    await edge.settle()

    response = await other.cache.get(keys.STOCK, "A")

    assert (response.value.available, response.tier) == (100, "shared")
    assert other.source.calls == []


async def test_entry_is_used_only_when_it_is_as_new_as_the_reader(edge: Edge, other: Edge) -> None:
    await edge.cache.get(keys.STOCK, "A")
    await edge.settle()
    edge.shop.move("A")
    await other.follow()

    too_old = await other.cache.get(keys.STOCK, "A")
    other.memory.drop(keys.STOCK, "A")
    await edge.feed_shared()
    caught_up = await other.cache.get(keys.STOCK, "A")

    assert [(response.tier, response.value.version) for response in (too_old, caught_up)] == [
        ("source", 2),
        ("shared", 2),
    ]


async def test_entry_of_an_untouched_part_is_used_though_redis_lags(edge: Edge, other: Edge) -> None:
    await edge.cache.get(keys.STOCK, "A")
    await edge.settle()
    edge.shop.move("B")
    await other.follow()

    assert (await other.cache.get(keys.STOCK, "A")).tier == "shared"


async def test_log_entry_replaces_the_shared_value(edge: Edge, other: Edge) -> None:
    await edge.cache.get(keys.STOCK, "A")
    await edge.cache.get(keys.PART, "A")
    await edge.settle()
    edge.shop.move("A", "north")
    edge.shop.write("A", title="New")
    await edge.feed_shared()
    await other.follow()

    stock, part = await other.cache.get(keys.STOCK, "A"), await other.cache.get(keys.PART, "A")

    assert (stock.tier, stock.value) == ("shared", edge.shop.stock.read("A"))
    assert (part.tier, part.value) == ("shared", edge.shop.parts["A"])


async def test_applying_again_changes_nothing_and_a_gap_is_rejected(edge: Edge, shared: SharedCache) -> None:
    for _ in range(3):
        edge.shop.move("A")
    shop = edge.shop
    here = edge.memory.position("inventory")
    assert here is not None
    entries = shop.stock.entries(1, 4)
    end = type(here)(here.log, here.epoch, 4)

    await shared.apply(1, end, entries)
    await shared.apply(1, end, entries)

    assert await shared.position("inventory") == end
    with pytest.raises(SharedTierBehind):
        await shared.apply(6, type(here)(here.log, here.epoch, 7), [])


async def test_redis_that_lost_everything_starts_empty(edge: Edge, other: Edge, redis_url: str) -> None:
    await edge.cache.get(keys.STOCK, "A")
    await edge.settle()
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
    edge.shop.move("A")

    await edge.feed_shared()
    await other.follow()

    response = await other.cache.get(keys.STOCK, "A")
    await other.settle()
    edge.memory.drop(keys.STOCK, "A")
    await edge.follow()
    assert (response.tier, response.value.version) == ("source", 2)
    assert (await edge.cache.get(keys.STOCK, "A")).tier == "shared"


async def test_lost_sorted_set_of_changes_rejects_old_fills(edge: Edge, shared: SharedCache, redis_url: str) -> None:
    before = await edge.source.stocks(["A"], "")
    edge.shop.move("A")
    await edge.feed_shared()
    with redis.Redis.from_url(redis_url) as client:
        touched = [key for key in client.scan_iter() if key.endswith(b":touched")]
        client.delete(*touched)

    edge.cache.keep(keys.STOCK, before)
    await edge.settle()

    here = edge.memory.position("inventory")
    assert here is not None
    assert await shared.read(keys.STOCK, here.epoch, {"A": 0}) == {}


async def test_resync_drops_what_is_held(edge: Edge, other: Edge) -> None:
    await edge.cache.get(keys.STOCK, "A")
    await edge.settle()

    await edge.shared_sinks["inventory"].reset(edge.shop.cursor("inventory", 1), no_pages())

    assert (await other.cache.get(keys.STOCK, "A")).tier == "source"


async def test_tag_ends_a_shared_listing(edge: Edge, shared: SharedCache) -> None:
    here = edge.memory.position("content")
    assert here is not None
    tags = keys.listing_tags("leds")
    await shared.fill(keys.LISTING, {"q": Listing(("A",))}, here, tags)
    held = await shared.read_tagged(keys.LISTING, here.epoch, "q", tags, here.revision)

    edge.shop.write("A", title="New")
    await edge.feed_shared()

    assert held is not None
    assert held.value == Listing(("A",))
    assert await shared.read_tagged(keys.LISTING, here.epoch, "q", tags, 0) is None


async def test_new_leader_continues_where_the_last_one_stopped(edge: Edge, shop: Shop, shared: SharedCache) -> None:
    shop.move("A")
    await edge.feed_shared()
    successor = Edge(shop, shared)

    position = await successor.shared_sinks["inventory"].position()

    assert position == shop.cursor("inventory", 2)


async def test_keys_name_wire_version_log_and_epoch(edge: Edge, redis_url: str) -> None:
    await edge.cache.get(keys.STOCK, "A")
    await edge.settle()

    with redis.Redis.from_url(redis_url) as client:
        found = {key.decode() for key in client.scan_iter()}

    epoch = edge.shop.epochs["inventory"].hex
    assert f"{{ps{keys.WIRE_VERSION}:inventory:{epoch}}}:s:A" in found
    assert all(key.lstrip("{").startswith(f"ps{keys.WIRE_VERSION}:") for key in found)


async def no_pages() -> AsyncIterator[Sequence[Any]]:
    """A snapshot without parts."""
    for page in list[Sequence[Any]]():
        yield page
