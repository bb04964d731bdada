"""Faults of the stream, one function each. A fault lasts until another one or the end of the scenario repairs it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING

import asyncpg
import psycopg

from chassis.store_errors import STORE_FAILURES
from tests.chaos.stream.storm import PARTS, run_sql

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.chaos.stream.world import World

# Copy the entries, report the position as a follower does, and drop what retention allows.
ARCHIVE = """
INSERT INTO archived_entries
SELECT revision, transaction_id, epoch, entity, entity_id, version, after::text, details::text FROM change_log
WHERE revision > (SELECT coalesce(max(revision), 0) FROM archived_entries)
"""
REPORT = """
INSERT INTO change_log_follower (name, epoch, revision)
SELECT 'chaos', i.epoch, coalesce((SELECT max(revision) FROM archived_entries), 0) FROM change_log_identity AS i
ON CONFLICT (name) DO UPDATE SET epoch = excluded.epoch, revision = excluded.revision
"""
DROP = "SELECT dropped_to FROM change_log_drop_oldest(interval '-1 day', 0)"


async def kill_replica(world: World) -> None:
    """Kill a replica; another one takes its port."""
    replica = world.rng.choice(world.replicas)
    await replica.end(signal.SIGKILL)
    await asyncio.sleep(world.rng.uniform(0, 0.2))
    await replica.start()


async def replace_replica(world: World) -> None:
    """Drain a replica and start another one, as a deployment does."""
    replica = world.rng.choice(world.replicas)
    await replica.end(signal.SIGTERM)
    await replica.start()


async def restart_postgres(world: World) -> None:
    """Shut the server down and start it again."""
    await world.postgres.restart(crash=False)


async def crash_postgres(world: World) -> None:
    """Crash the server; it recovers from its write-ahead log."""
    await world.postgres.restart(crash=True)


async def cut_network(world: World) -> None:
    """Reset the connections of a network and refuse new ones."""
    world.rng.choice(world.proxies).cut()


async def stall_network(world: World) -> None:
    """Make a network drop all data silently."""
    world.rng.choice(world.proxies).stall()


async def heal_network(world: World) -> None:
    """Repair every network."""
    for proxy in world.proxies:
        proxy.heal()


async def stall_watcher(world: World) -> None:
    """Make a watcher read nothing for a while."""
    recorder = world.recorders[-1]
    recorder.reading.clear()
    asyncio.get_running_loop().call_later(world.rng.uniform(0.2, 1.0), recorder.reading.set)


async def run_retention(world: World) -> None:
    """Drop old partitions; long transactions may block it."""
    await _as_owner(world, ARCHIVE, REPORT, *([DROP] * 4))


async def open_transaction(world: World) -> None:
    """Leave a write transaction open."""
    released = asyncio.Event()
    name = f"open-{len(world.held)}"
    statements = (
        f"INSERT INTO stock_level (part_id, location_id, on_hand) VALUES ('{name}', 'main', 1)",  # noqa: S608
        f"UPDATE stock_level SET on_hand = 2 WHERE part_id = '{name}'",  # noqa: S608
    )
    commit = world.rng.random() < 0.7
    task = asyncio.create_task(run_sql(world.dsn, *statements, commit=commit, hold=released))
    world.held.append((released, task))
    asyncio.get_running_loop().call_later(world.rng.uniform(0.3, 1.5), released.set)


async def open_reader(world: World) -> None:
    """Leave a read transaction on the log open."""
    released = asyncio.Event()
    statements = ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM change_log")
    task = asyncio.create_task(run_sql(world.dsn, *statements, hold=released))
    world.held.append((released, task))
    asyncio.get_running_loop().call_later(world.rng.uniform(0.3, 1.0), released.set)


async def write_sql(world: World) -> None:
    """Change many levels in one SQL statement."""
    await run_sql(world.dsn, f"UPDATE stock_level SET on_hand = on_hand + 1 WHERE part_id < '{PARTS[6]}'")  # noqa: S608


async def write_large_transaction(world: World) -> None:
    """Write one transaction larger than any page, partition and message."""
    name = f"bulk-{world.rng.randint(0, 10**9)}"
    await run_sql(
        world.dsn,
        "INSERT INTO stock_level (part_id, location_id, on_hand) "  # noqa: S608
        f"SELECT '{name}-' || n, 'main', n FROM generate_series(1, {world.rng.choice((900, 1000, 1500))}) AS n",
    )


async def begin_epoch(world: World) -> None:
    """Start a new epoch of the log."""
    await _as_owner(world, "SELECT change_log_begin_epoch()")


async def hang_replica(world: World) -> None:
    """Suspend a replica for a while: it keeps its connections, locks and received data."""
    replica = world.rng.choice(world.replicas)
    replica.hang()
    asyncio.get_running_loop().call_later(world.rng.uniform(0.3, 2.5), replica.resume)


async def make_read_only(world: World) -> None:
    """Make the database read-only for a while; sessions that start meanwhile stay read-only."""
    with contextlib.suppress(psycopg.Error):  # the server is restarting
        await asyncio.to_thread(world.undo.enter_context, world.place.conditions.read_only())
        await asyncio.sleep(world.rng.uniform(0.2, 1.0))
        await asyncio.to_thread(world.undo.close)


async def fill_disk(world: World) -> None:
    """Fill the database's disk for a while."""
    disk = world.place.disk
    if disk is None:
        world.story.append("       no disk to fill: mounting is not possible")
        return
    world.undo.callback(disk.clear)
    await asyncio.to_thread(disk.fill)
    await asyncio.sleep(world.rng.uniform(0.2, 1.0))
    disk.clear()


async def _as_owner(world: World, *statements: str) -> None:
    """Run statements one by one, each in a transaction; ignore those that the database rejects now."""
    try:
        connection = await asyncpg.connect(world.dsn, timeout=3, command_timeout=10)
    except STORE_FAILURES:
        return
    try:
        for statement in statements:
            with contextlib.suppress(asyncpg.LockNotAvailableError):
                await connection.execute(statement)
    except STORE_FAILURES:
        return
    finally:
        connection.terminate()


# The weight of each fault.
FAULTS: tuple[tuple[Callable[[World], Awaitable[None]], int], ...] = (
    (kill_replica, 4),
    (replace_replica, 2),
    (restart_postgres, 1),
    (crash_postgres, 1),
    (cut_network, 4),
    (stall_network, 3),
    (heal_network, 5),
    (stall_watcher, 3),
    (run_retention, 4),
    (open_transaction, 2),
    (open_reader, 1),
    (write_sql, 3),
    (write_large_transaction, 1),
    (begin_epoch, 1),
    (hang_replica, 3),
    (make_read_only, 2),
    (fill_disk, 2),
)
