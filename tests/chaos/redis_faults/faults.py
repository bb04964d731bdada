"""Faults of Redis, one function each. The scenario repairs none: the system has to recover."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import redis

from tasks.broker import AUDIT_QUEUE, NAMESPACE, WARMING_QUEUE
from tests.harness.redis_content import TYPES, plant
from tests.harness.redis_damage import DAMAGES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.chaos.redis_faults.world import World

QUEUES = (AUDIT_QUEUE, f"{AUDIT_QUEUE}.DQ", WARMING_QUEUE)
FIXED_KEYS = [
    f"{NAMESPACE}:{name}"
    for queue in QUEUES
    for name in (queue, f"{queue}.msgs", f"{queue}.XQ", f"{queue}.XQ.msgs", "__heartbeats__")
]
MESSAGES = (b"", b"\xff\x00", b"[]", b'{"queue_name": 1}', b"{" * 10_000)


async def damage_files(world: World) -> None:
    """Kill Redis, damage one of its files, and start it again."""
    damage = world.rng.choice(DAMAGES)
    world.story.append(f"       {damage.__name__}")
    await asyncio.to_thread(world.redis.kill)
    damage(world.redis.folder)
    await asyncio.to_thread(world.redis.start)


async def kill_redis(world: World) -> None:
    """Kill Redis, and start it again within 1 s."""
    await asyncio.to_thread(world.redis.kill)
    await asyncio.sleep(world.rng.uniform(0, 1.0))
    await asyncio.to_thread(world.redis.start)


async def flush(world: World) -> None:
    """Delete all keys."""
    with redis.Redis.from_url(world.redis.url) as client:
        client.flushall()


async def plant_type(world: World) -> None:
    """Write other types to keys of the product."""
    with redis.Redis.from_url(world.redis.url) as client:
        present = [key.decode() for key in client.scan_iter() if not key.startswith(b"quarantine:")]
        for _ in range(world.rng.randint(1, 4)):
            key, held = world.rng.choice([*FIXED_KEYS, *present]), world.rng.choice(TYPES)
            world.story.append(f"       {held} under {key}")
            plant(client, key, held)


async def plant_messages(world: World) -> None:
    """Add malformed messages to a queue."""
    queue = f"{NAMESPACE}:{world.rng.choice(QUEUES)}"
    found = {f"planted-{world.rng.random()}": world.rng.choice(MESSAGES) for _ in range(world.rng.randint(1, 20))}
    with redis.Redis.from_url(world.redis.url) as client:
        try:
            client.hset(f"{queue}.msgs", mapping=found)
            client.rpush(queue, *found, "of no message")
        except redis.ResponseError:
            return  # an earlier fault left a key of another type


async def plant_fields(world: World) -> None:
    """Overwrite fields of hashes."""
    with redis.Redis.from_url(world.redis.url) as client:
        hashes = [key for key in client.scan_iter(_type="hash") if not key.startswith(b"quarantine:")]
        for key in world.rng.sample(hashes, min(3, len(hashes))):
            fields = client.hkeys(key)
            if fields:
                client.hset(key, world.rng.choice(fields), b"\xff garbage")


async def kill_worker(world: World) -> None:
    """Kill the worker; its supervisor starts another one."""
    await asyncio.to_thread(world.worker.kill)
    world.worker.start()


FAULTS: list[tuple[Callable[[World], Awaitable[None]], int]] = [
    (damage_files, 4),
    (plant_type, 4),
    (plant_messages, 3),
    (plant_fields, 3),
    (kill_redis, 2),
    (flush, 1),
    (kill_worker, 1),
]
