"""A key of the shared tier that holds another type or garbage: readers get the truth, and the tier works again.

One key of another type made every call that touched it fail: the circuit breaker took Redis for unavailable, again
and again, and the process that applies the log waited without end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
import redis

from changelog.cursor import Position
from edge.cache import keys
from edge.cache.scripts import redis_type
from edge.cache.shared import SharedCache
from edge.cache.values import Listing
from tests.edge.cache.conftest import Edge
from tests.edge.live.histories import Shop
from tests.harness.redis_content import TYPES, plant, type_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

TAGS = keys.listing_tags("leds")
KEYS: dict[str, Callable[[Shop], str]] = {
    "head": lambda _shop: keys.head_key("inventory"),
    "state": lambda shop: f"{keys.namespace('inventory', shop.epochs['inventory'])}:state",
    "touched": lambda shop: f"{keys.namespace('inventory', shop.epochs['inventory'])}:touched",
    "stock": lambda shop: f"{keys.namespace('inventory', shop.epochs['inventory'])}:s:A",
    "content state": lambda shop: f"{keys.namespace('content', shop.epochs['content'])}:state",
    "content touched": lambda shop: f"{keys.namespace('content', shop.epochs['content'])}:touched",
    "part": lambda shop: f"{keys.namespace('content', shop.epochs['content'])}:p:A",
    "listing": lambda shop: f"{keys.namespace('content', shop.epochs['content'])}:l:q",
}


def right_type(name: str) -> str:
    """The type that a key must have."""
    return {"head": "string"}.get(name, "zset" if "touched" in name else "hash")


# Content of the right type that no script can compare with, and no decoder reads. The generation is the present one.
GARBAGE: dict[str, list[dict[str, bytes]]] = {
    "state": [{"at": b"x"}, {"at": b"1.5"}, {"floor": b"x"}, {"gen": b""}],
    "content state": [{"at": b"x"}, {"at": b""}],
    "stock": [{"r": b"x"}, {"m:main": b"garbage"}, {"m:main": b"999 \xff\xff\xff"}, {"m:main": b"999 "}],
    "part": [{"r": b""}, {"m:": b"x"}, {"m:": b"999 \xff\xff"}, {"m:": b"998 \x0a\x01B"}],
    "listing": [{"r": b"x"}, {"m:": b"x"}, {"m:": b"999 \xff\xff"}, {"m:": b"999 \xc1"}],
}


@pytest.fixture
def moved() -> dict[str, str]:
    """Keys that were moved aside, and why."""
    return {}


@pytest.fixture
async def shared(redis_url: str, moved: dict[str, str]) -> AsyncIterator[SharedCache]:
    made = SharedCache(redis_url, on_quarantine=moved.__setitem__)
    yield made
    await made.close()


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as made:
        yield made


@pytest.fixture
async def warm(edge: Edge) -> Edge:
    """An edge that has filled Redis with an entry of each kind."""
    await edge.cache.get(keys.STOCK, "A")
    await edge.cache.get(keys.PART, "A")
    await edge.settle()
    here = edge.memory.position("content")
    assert here is not None
    await edge.shared.fill(keys.LISTING, {"q": Listing(("A",))}, here, TAGS)
    edge.shop.move("A")
    edge.shop.write("A", title="Newer")
    await edge.feed_shared()
    await edge.shared.fill(keys.LISTING, {"q": Listing(("A",))}, _at(edge), TAGS)
    return edge


def _at(edge: Edge) -> Position:
    here = edge.memory.position("content")
    assert here is not None
    return Position(here.log, here.epoch, len(edge.shop.content_log))


async def works(edge: Edge, shop: Shop, shared: SharedCache) -> None:
    """Changes are applied, readers see them, and what one process fills another one hits."""
    for _ in range(2):
        shop.move("A")
        shop.write("A", title="Newest")
        async with asyncio.timeout(20):
            await edge.feed_shared()
        reader = Edge(shop, shared)
        await reader.begin(feeds_shared=False)
        stock, part = await reader.cache.get(keys.STOCK, "A"), await reader.cache.get(keys.PART, "A")
        await reader.settle()
        assert (stock.value, part.value) == (shop.stock.read("A"), shop.parts["A"])
        await shared.read_tagged(keys.LISTING, shop.epochs["content"], "q", TAGS, 0)
    other = Edge(shop, shared)
    await other.begin(feeds_shared=False)
    assert (await other.cache.get(keys.STOCK, "A")).tier == "shared"
    assert (await other.cache.get(keys.PART, "A")).tier == "shared"
    listed = []
    for _ in range(2):  # the first read may be the one that finds out
        await shared.fill(keys.LISTING, {"q": Listing(("A",))}, _at(other), TAGS)
        listed.append(await shared.read_tagged(keys.LISTING, shop.epochs["content"], "q", TAGS, 0))
    assert listed[-1] is not None
    assert not shared.breaker.is_open


@pytest.mark.parametrize(
    ("name", "held"), [(name, held) for name in KEYS for held in TYPES if held != right_type(name)]
)
async def test_a_key_of_another_type_is_moved_aside(
    warm: Edge, shop: Shop, shared: SharedCache, client: redis.Redis, moved: dict[str, str], name: str, held: str
) -> None:
    key = KEYS[name](shop)
    right = redis_type(key)
    plant(client, key, held)
    successor = Edge(shop, shared)
    assert await successor.shared_sinks["inventory"].position() is not None

    await works(warm, shop, shared)

    if name != "head":  # it is written again with each beginning, whatever its type
        assert moved[key] == f"holds a {held}, not a {right}"
        assert type_of(client, f"quarantine:{key}") == held
        assert 0 < client.ttl(f"quarantine:{key}") <= 24 * 3600
    assert type_of(client, key) in {right, "none"}


@pytest.mark.parametrize(("name", "content"), [(name, one) for name, many in GARBAGE.items() for one in many])
async def test_content_of_no_known_form_is_moved_aside(
    warm: Edge,
    shop: Shop,
    shared: SharedCache,
    client: redis.Redis,
    moved: dict[str, str],
    name: str,
    content: dict[str, bytes],
) -> None:
    key = KEYS[name](shop)
    client.hset(key, mapping=content)  # type: ignore[arg-type]

    await works(warm, shop, shared)

    # What the scripts overwrite, or find to be of another generation, need not be moved.
    assert set(moved) <= {key}


async def test_a_key_is_moved_aside_when_the_breaker_is_open(
    warm: Edge, shop: Shop, shared: SharedCache, client: redis.Redis, moved: dict[str, str]
) -> None:
    """The one call that the breaker let pass met the key, and the look at the key was refused: again and again."""
    key = KEYS["state"](shop)
    plant(client, key, "list")
    while not shared.breaker.is_open:
        shared.breaker.failed()
    shared.breaker._open_until = 0.0

    await works(warm, shop, shared)

    assert moved[key] == "holds a list, not a hash"
    assert not shared.breaker.is_open


async def test_a_head_of_no_known_form_is_moved_aside(
    warm: Edge, shop: Shop, shared: SharedCache, client: redis.Redis, moved: dict[str, str]
) -> None:
    client.set(keys.head_key("inventory"), b"\xff")

    assert await shared.position("inventory") is None

    assert list(moved) == [keys.head_key("inventory")]
    assert client.exists(f"quarantine:{{{keys.head_key('inventory')}}}")
    await works(warm, shop, shared)


async def test_a_reader_alone_gets_the_truth_at_once(
    warm: Edge, shop: Shop, shared: SharedCache, client: redis.Redis
) -> None:
    """Garbage that decoded by chance, or raised in the decoder, reached the client as a 500."""
    client.hset(KEYS["stock"](shop), mapping={"m:main": b"999 \xff\xff\xff"})
    client.hset(KEYS["part"](shop), mapping={"m:": b"998 \x0a\x01B"})
    reader = Edge(shop, shared)
    await reader.begin(feeds_shared=False)

    assert (await reader.cache.get(keys.STOCK, "A")).value == shop.stock.read("A")
    assert (await reader.cache.get(keys.PART, "A")).value == shop.parts["A"]
