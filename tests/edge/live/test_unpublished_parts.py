"""For public clients an unpublished part never existed, as soon as it is unpublished."""

from __future__ import annotations

from typing import Any

import pytest

from edge.cache import keys
from edge.live.client_state import ClientState
from partstream.content.v1 import part_pb2
from tests.edge.live.histories import STAFF, Shop, last_serial, sent, subscribe

DRAFT = part_pb2.PART_STATUS_DRAFT
PUBLISHED = part_pb2.PART_STATUS_PUBLISHED
ARCHIVED = part_pb2.PART_STATUS_ARCHIVED

BY_NAME_OR_CATEGORY = pytest.mark.parametrize("categories", [[], ["leds"]], ids=["named", "by category"])


def shop_with(status: part_pb2.PartStatus.ValueType) -> Shop:
    """A part with stock in a category."""
    shop = last_serial()
    shop.tree.put(part_pb2.Category(category_id="leds"))
    shop.write("LED", category_id="leds", status=status)
    shop.tell(keys.CONTENT)
    shop.move("LED")
    shop.tell()
    return shop


async def listening(shop: Shop, categories: list[str], **more: Any) -> ClientState:
    session = shop.enter()
    named = () if categories else ("LED",)
    await subscribe(shop, session, *named, categories=categories, **more)
    return session


def moved(shop: Shop) -> None:
    shop.move("LED")
    shop.tell()


def rewritten(shop: Shop, status: part_pb2.PartStatus.ValueType) -> None:
    shop.write("LED", status=status)
    shop.tell(keys.CONTENT)


def known(frames: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    return [(frame["type"], frame.get("operation") or frame.get("version")) for frame in frames]


@pytest.mark.parametrize("status", [DRAFT, ARCHIVED])
async def test_snapshot_shows_a_hidden_part_as_one_that_never_existed(status: part_pb2.PartStatus.ValueType) -> None:
    shop = shop_with(status)
    session = shop.enter()
    shop.parts["never"] = part_pb2.Part(status=DRAFT)

    await subscribe(shop, session, "LED", "never")
    (subscribed,) = await sent(shop, session)

    led, never = subscribed["parts"]
    assert led == {**never, "part_id": "LED"}
    assert (led["available"], led["version"], led["content_version"]) == (0, 0, 0)


@pytest.mark.parametrize("mode", ["latest", "all"])
@BY_NAME_OR_CATEGORY
async def test_stock_of_a_hidden_part_is_not_sent(categories: list[str], mode: str) -> None:
    shop = shop_with(DRAFT)
    session = await listening(shop, categories, mode=mode)
    await sent(shop, session)

    moved(shop)
    shop.write("LED", title="still a draft")
    shop.tell(keys.CONTENT)

    assert await sent(shop, session) == []


@pytest.mark.parametrize("mode", ["latest", "all"])
@pytest.mark.parametrize("hidden", [DRAFT, ARCHIVED])
@BY_NAME_OR_CATEGORY
async def test_unpublished_part_is_sent_as_deleted_only(
    categories: list[str], hidden: part_pb2.PartStatus.ValueType, mode: str
) -> None:
    shop = shop_with(PUBLISHED)
    session = await listening(shop, categories, mode=mode)
    await sent(shop, session)
    moved(shop)

    rewritten(shop, hidden)
    moved(shop)

    assert known(await sent(shop, session)) == [("content", "deleted")]
    moved(shop)
    assert await sent(shop, session) == []


@BY_NAME_OR_CATEGORY
async def test_published_part_is_sent_with_its_stock(categories: list[str]) -> None:
    shop = shop_with(DRAFT)
    session = await listening(shop, categories)
    await sent(shop, session)
    moved(shop)

    rewritten(shop, PUBLISHED)

    content, stock = await sent(shop, session)
    assert known([content, stock]) == [("content", "created"), ("stock", 2)]
    assert stock["available"] == shop.stock.read("LED").available


@BY_NAME_OR_CATEGORY
async def test_client_resuming_after_a_publication_gets_the_stock(categories: list[str]) -> None:
    shop = shop_with(DRAFT)
    cursor = shop.publisher.cursor
    rewritten(shop, PUBLISHED)

    session = await listening(shop, categories, cursor=cursor)
    resumed, *frames = await sent(shop, session)

    assert resumed["recovered"]
    assert known(frames) == [("content", "created"), ("stock", 1)]


async def test_changes_of_a_draft_are_not_sent_after_publication() -> None:
    shop = shop_with(DRAFT)
    cursor = shop.publisher.cursor
    moved(shop)
    moved(shop)
    rewritten(shop, PUBLISHED)

    session = await listening(shop, [], cursor=cursor, mode="all")
    (subscribed,) = await sent(shop, session)

    assert not subscribed["recovered"]
    assert subscribed["parts"][0]["version"] == 3


async def test_staff_get_events_of_hidden_parts() -> None:
    shop = shop_with(DRAFT)
    session = shop.enter(STAFF)
    await subscribe(shop, session, "LED")
    await sent(shop, session)

    moved(shop)

    assert known(await sent(shop, session)) == [("stock", 2)]
