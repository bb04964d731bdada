"""One suite for every second tier: what a reader gets does not depend on Redis."""

from __future__ import annotations

import asyncio

import pytest

from changelog import cursor as cursors
from chassis.errors import StoreUnavailable
from edge.cache import keys
from edge.cache.manager import Loaded
from edge.cache.values import Absent, Listing
from partstream.content.v1 import part_pb2
from tests.edge.cache.conftest import PUBLISHED, Edge


async def test_miss_is_read_once_then_hits(edge: Edge) -> None:
    first = await edge.cache.get(keys.STOCK, "A")
    second = await edge.cache.get(keys.STOCK, "A")

    assert (first.value.available, first.tier) == (100, "source")
    assert (second.value.available, second.tier) == (100, "memory")
    assert edge.source.calls == [["A"]]


async def test_log_entry_replaces_the_value_so_the_next_reader_hits(edge: Edge) -> None:
    await edge.cache.get(keys.STOCK, "A")
    await edge.cache.get(keys.PART, "A")

    edge.shop.move("A", "north")
    edge.shop.write("A", title="New")
    await edge.follow()
    stock, part = await edge.cache.get(keys.STOCK, "A"), await edge.cache.get(keys.PART, "A")

    assert (stock.value.available, stock.value.version, stock.tier) == (201, 2, "memory")
    assert (part.value.title, part.tier) == ("New", "memory")


async def test_concurrent_readers_share_one_load(edge: Edge) -> None:
    responses = await asyncio.gather(*(edge.cache.get(keys.STOCK, "A") for _ in range(20)))

    assert {response.value.available for response in responses} == {100}
    assert edge.source.calls == [["A"]]


async def test_concurrent_misses_share_one_call(edge: Edge) -> None:
    await asyncio.gather(*(edge.cache.get(keys.STOCK, part_id) for part_id in "ABC"))

    assert edge.source.calls == [["A", "B", "C"]]


async def test_cancelled_reader_does_not_cancel_others(edge: Edge) -> None:
    leaving = asyncio.create_task(edge.cache.get(keys.STOCK, "A"))
    staying = asyncio.create_task(edge.cache.get(keys.STOCK, "A"))
    await asyncio.sleep(0)

    leaving.cancel()

    assert (await staying).value.available == 100


async def test_absence_is_cached_until_the_log_brings_the_part(edge: Edge) -> None:
    missing = [await edge.cache.get(keys.PART, "B") for _ in range(2)]

    edge.shop.write("B", title="New", category_path=["LEDs"], status=PUBLISHED)
    await edge.follow()
    found = await edge.cache.get(keys.PART, "B")

    assert [response.value for response in missing] == [Absent(), Absent()]
    assert found.value.title == "New"
    assert edge.source.calls == [["B"]]


async def test_minimum_revision_is_read_through_and_then_held(edge: Edge) -> None:
    await edge.cache.get(keys.STOCK, "A")
    edge.shop.move("A")

    response = await edge.cache.get(keys.STOCK, "A", edge.shop.cursor("inventory", 2))
    later = await edge.cache.get(keys.STOCK, "A")

    assert (response.value.version, later.value.version, later.tier) == (2, 2, "memory")


async def test_own_write_is_visible_before_the_log_applies_it(edge: Edge) -> None:
    await edge.cache.get(keys.STOCK, "A")
    edge.shop.move("A")

    edge.cache.expect(["part:A"], edge.shop.cursor("inventory", 2))

    assert (await edge.cache.get(keys.STOCK, "A")).value.version == 2


async def test_eviction_shows_nothing_older(edge: Edge) -> None:
    await edge.cache.get(keys.STOCK, "A")
    await edge.settle()
    edge.shop.move("A")
    await edge.follow()

    edge.memory.drop(keys.STOCK, "A")

    assert (await edge.cache.get(keys.STOCK, "A")).value.version == 2


async def test_slow_reader_cannot_fill_an_old_value(edge: Edge) -> None:
    before = await edge.source.stocks(["A"], "")
    edge.shop.move("A")
    await edge.follow()

    edge.cache.keep(keys.STOCK, before)

    assert (await edge.cache.get(keys.STOCK, "A")).value.version == 2


async def test_hidden_part_is_absent_and_no_fill_restores_it(edge: Edge) -> None:
    shown = await edge.source.parts(["A"], "")
    await edge.cache.get(keys.PART, "A")
    edge.shop.write("A", status=part_pb2.PART_STATUS_ARCHIVED)
    await edge.follow()

    edge.cache.keep(keys.PART, shown)
    edge.source.is_unavailable = True

    assert isinstance((await edge.cache.get(keys.PART, "A")).value, Absent)


async def test_silent_stream_makes_results_stale_then_reads_go_through(edge: Edge) -> None:
    await edge.cache.get(keys.STOCK, "A")
    edge.shop.move("A")
    tiers = []

    for age in (1.0, 20.0, 40.0):
        edge.streams[keys.INVENTORY].age = age
        response = await edge.cache.get(keys.STOCK, "A")
        tiers.append((response.tier, response.value.version))

    assert tiers == [("memory", 1), ("stale", 1), ("source", 2)]


async def test_reads_fail_when_stream_and_source_are_unavailable_for_long(edge: Edge) -> None:
    await edge.cache.get(keys.STOCK, "A")
    edge.source.is_unavailable = True

    edge.streams[keys.INVENTORY].age = 40.0

    with pytest.raises(StoreUnavailable):
        await edge.cache.get(keys.STOCK, "A")


async def test_expired_entry_is_refreshed_in_the_background(edge: Edge) -> None:
    await edge.cache.get(keys.STOCK, "A")
    entry = edge.memory.get(keys.STOCK, "A")
    assert entry is not None

    entry.ends_at = entry.filled_at
    responses = [await edge.cache.get(keys.STOCK, "A") for _ in range(3)]
    await edge.settle()

    assert [response.tier for response in responses] == ["memory"] * 3
    assert edge.source.calls == [["A"], ["A"]]


async def test_expired_entry_is_used_when_the_source_is_unavailable(edge: Edge) -> None:
    await edge.cache.get(keys.STOCK, "A")
    entry = edge.memory.get(keys.STOCK, "A")
    assert entry is not None
    await edge.settle()
    if await edge.shared.ping():
        await edge.shared.drop(keys.STOCK, edge.shop.epochs["inventory"], ["A"])

    entry.ends_at = entry.filled_at
    edge.source.is_unavailable = True
    edge.streams[keys.INVENTORY].is_connected = False

    assert (await edge.cache.get(keys.STOCK, "A")).tier == "stale"


async def test_listing_ends_with_a_change_in_its_category(edge: Edge) -> None:
    edge.tree.put(part_pb2.Category(category_id="diodes"))
    edge.tree.put(part_pb2.Category(category_id="leds", parent_id="diodes"))
    reads: list[str] = []

    async def listing(category_id: str) -> str:
        async def load(_: str) -> Loaded:
            reads.append(category_id)
            head = len(edge.shop.content_log)
            return Loaded({category_id: Listing(("A",))}, edge.shop.cursor("content", head))

        tags = keys.listing_tags(category_id)
        await edge.cache.get_tagged(keys.LISTING, category_id, tags, load, "")
        await edge.settle()
        return category_id

    everywhere = ["leds", "diodes", "fuses", ""]
    for category_id in everywhere * 2:
        await listing(category_id)
    edge.shop.write("A", title="New")
    await edge.follow()
    if await edge.shared.ping():
        await edge.feed_shared()
    for category_id in everywhere:
        await listing(category_id)

    assert reads == [*everywhere, "leds", "diodes", ""]


async def test_renamed_category_ends_every_part(edge: Edge) -> None:
    await edge.cache.get(keys.PART, "A")
    before = part_pb2.Category(category_id="leds", name="LEDs")
    after = part_pb2.Category(category_id="leds", name="Light")

    edge.shop.rename(before, after)
    await edge.follow()

    assert (await edge.cache.get(keys.PART, "A")).tier == "source"


async def test_invalidated_part_is_read_again(edge: Edge) -> None:
    await edge.cache.get(keys.STOCK, "A")
    await edge.settle()

    await edge.cache.invalidate_part_cache("A")

    assert (await edge.cache.get(keys.STOCK, "A")).tier == "source"


async def test_everything_can_be_dropped(edge: Edge) -> None:
    await edge.cache.get(keys.STOCK, "A")
    await edge.settle()

    await edge.cache.invalidate_all()

    assert (await edge.cache.get(keys.STOCK, "A")).tier == "source"


async def test_new_epoch_starts_empty(edge: Edge) -> None:
    await edge.cache.get(keys.STOCK, "A")
    other = cursors.Position(keys.INVENTORY, edge.shop.epochs[keys.CONTENT], 0)

    edge.memory.begin(other)

    assert (await edge.cache.get(keys.STOCK, "A")).tier == "source"
    assert edge.memory.get(keys.STOCK, "A") is None
