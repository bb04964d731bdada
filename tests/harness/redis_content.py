"""What another program may leave under a key of the product's: every type, and content of no known form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    import redis

TYPES: Final = ("string", "list", "set", "zset", "hash", "stream")


def plant(client: redis.Redis, key: str, held: str) -> None:
    """Put a value of a type under a key, in place of what is there; at once, because others write there too."""
    with client.pipeline(transaction=True) as pipe:
        pipe.delete(key)
        writers: dict[str, Callable[[], object]] = {
            "string": lambda: pipe.set(key, b"\xff\x00garbage"),
            "list": lambda: pipe.rpush(key, b"\xff\x00garbage"),
            "set": lambda: pipe.sadd(key, b"\xff\x00garbage"),
            "zset": lambda: pipe.zadd(key, {b"\xff\x00garbage": 1.5}),
            "hash": lambda: pipe.hset(key, mapping={b"\xff\x00field": b"\xff\x00garbage"}),
            "stream": lambda: pipe.xadd(key, {b"\xff": b"\xff\x00garbage"}),
        }
        writers[held]()
        pipe.execute()


def type_of(client: redis.Redis, key: str) -> str:
    """The type of a key; ``none`` when there is nothing."""
    found = client.type(key)
    return found.decode() if isinstance(found, bytes) else found
