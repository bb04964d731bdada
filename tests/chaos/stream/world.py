"""The processes of a scenario: a database, two replicas with a network each, writers and recorders."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import asyncpg

from changelog import follower as following
from changelog.cursor import Position, encode
from changelog.follower import Follower
from changelog.sources import StockSource
from chassis.background import Backoff
from chassis.channels import open_channel
from chassis.tokens import ServiceToken, SigningKey
from tests.chaos.stream.properties import HEAD
from tests.chaos.stream.recorders import BOOKMARK_SECONDS, Recorder, StateSink
from tests.chaos.stream.replicas import Replica
from tests.chaos.stream.storm import LOCATIONS, PARTS, SEED, Storm
from tests.harness.small_partitions import make_small
from tests.harness.tcp_proxy import TcpProxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import grpc

    from tests.chaos.stream.own_postgres import OwnPostgres
    from tests.chaos.stream.replicas import ForkServer
    from tests.harness.small_disk import SmallDisk
    from tests.harness.store_conditions import Conditions

_PARTITION_REVISIONS = 256
_WRITERS = 2

# A copy of the entries that retention drops, and a database clock that jumps, which affects `committed_at` only.
PREPARE = """
CREATE TABLE archived_entries AS
    SELECT revision, transaction_id, epoch, entity, entity_id, version, after::text, details::text
    FROM change_log WITH NO DATA;
INSERT INTO location (location_id, name) VALUES ('north', 'North');
"""
SKEW = """
CREATE SCHEMA skew;
CREATE FUNCTION skew.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
    $$ SELECT pg_catalog.clock_timestamp() + (random() - 0.5) * interval '2 hours' $$;
ALTER FUNCTION change_log_append SET search_path = skew, pg_catalog, public;
ALTER FUNCTION change_log_write_staged SET search_path = skew, pg_catalog, public;
"""


@dataclass(frozen=True)
class Place:
    """The shared parts that a scenario uses."""

    dsn: str
    postgres: OwnPostgres
    fork_server: ForkServer
    folder: Path
    conditions: Conditions
    disk: SmallDisk | None  # of the database; ``None`` where mounting is not possible


@dataclass
class World:
    """Everything that a fault can affect."""

    rng: random.Random
    place: Place
    token: ServiceToken
    replicas: list[Replica]
    proxies: list[TcpProxy]
    storms: list[Storm]
    recorders: list[Recorder]
    follower: Follower
    state: StateSink
    held: list[tuple[asyncio.Event, asyncio.Task[bool]]] = field(default_factory=list)
    story: list[str] = field(default_factory=list)
    undo: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)  # conditions of the database

    @property
    def dsn(self) -> str:
        """Return the connection string of the database."""
        return self.place.dsn

    @property
    def postgres(self) -> OwnPostgres:
        """Return the PostgreSQL server."""
        return self.place.postgres

    async def settle(self) -> None:
        """Repair everything, and return once every recorder is at the end of the log."""
        await asyncio.to_thread(self.undo.close)
        for proxy in self.proxies:
            proxy.heal()
        for replica in self.replicas:
            replica.resume()
        for recorder in self.recorders:
            recorder.reading.set()
        for released, task in self.held:
            released.set()
            await task
        for storm in self.storms:
            await storm.stop()
        for replica in self.replicas:
            if replica.pid is None:
                await replica.start()
        await asyncio.gather(*(replica.listens() for replica in self.replicas))
        end = await self._close_log()
        async with asyncio.timeout(30):
            await self.follower.reached(end, 30)
            await asyncio.gather(*(recorder.reached(end.revision) for recorder in self.recorders))

    async def _close_log(self) -> Position:
        """Return the head after a last write by SQL."""
        connection = await asyncpg.connect(self.dsn)
        try:
            await connection.execute("UPDATE stock_level SET on_hand = on_hand + 1 WHERE part_id = $1", PARTS[0])
            row = await connection.fetchrow(HEAD)
            return Position("inventory", row["epoch"], row["revision"])
        finally:
            await connection.close()


@contextlib.asynccontextmanager
async def open_world(seed: int, place: Place) -> AsyncIterator[World]:
    """Start replicas, writers and recorders, and stop them afterwards."""
    dsn, fork_server, folder = place.dsn, place.fork_server, place.folder
    rng = random.Random(seed)
    following.RESYNC_SPREAD_SECONDS = 0.05
    key = SigningKey.generate()
    jwks = folder / "jwks.json"
    jwks.write_text(json.dumps(key.jwks()))
    token = ServiceToken(key, "chaos")
    await _prepare(dsn, skew=rng.random() < 0.3)
    replicas = [Replica(fork_server, dsn, jwks, folder / f"replica-{number}.log") for number in (1, 2)]
    replicas[1].clock_ahead = rng.choice((0.0, -4.0, 90.0))
    for replica in replicas:
        await replica.start()
    async with contextlib.AsyncExitStack() as stack:
        for replica in replicas:
            stack.push_async_callback(replica.end, signal.SIGKILL)
        proxies = [TcpProxy(replica.port) for replica in replicas]
        for proxy in proxies:
            await proxy.start()
            stack.push_async_callback(proxy.stop)
        await asyncio.gather(*(replica.listens() for replica in replicas))
        channels = _Channels(token, proxies, stack)
        storms = [Storm(replica.port, token, rng) for replica in replicas]
        state = StateSink()
        follower = Follower(
            StockSource(channels.open(0, 1)), state, bookmark_seconds=BOOKMARK_SECONDS, backoff=Backoff(0.02, 0.2)
        )
        world = World(
            rng, place, token, replicas, proxies, storms, await _recorders(rng, dsn, channels), follower, state
        )
        stack.callback(world.undo.close)
        stack.push_async_callback(follower.stop)
        follower.start()
        for recorder in world.recorders:
            stack.push_async_callback(recorder.stop)
            recorder.start()
        for storm in storms:
            stack.push_async_callback(storm.stop)
            storm.start(_WRITERS)
        yield world


async def _prepare(dsn: str, *, skew: bool) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(PREPARE)
        await connection.execute(make_small(_PARTITION_REVISIONS))
        await connection.execute(SEED, PARTS, LOCATIONS)
        if skew:
            await connection.execute(SKEW)
    finally:
        await connection.close()


class _Channels:
    """Channels through the proxies."""

    def __init__(self, token: ServiceToken, proxies: list[TcpProxy], stack: contextlib.AsyncExitStack) -> None:
        self._token = token
        self._proxies = proxies
        self._stack = stack

    def open(self, *numbers: int, signed_in: bool = True) -> grpc.aio.Channel:
        """Return a channel over some replicas."""
        targets = [f"127.0.0.1:{self._proxies[number].port}" for number in numbers]
        channel = open_channel(targets, token=self._token if signed_in else None)
        self._stack.push_async_callback(channel.close)
        return channel


async def _recorders(rng: random.Random, dsn: str, channels: _Channels) -> list[Recorder]:
    connection = await asyncpg.connect(dsn)
    try:
        row = await connection.fetchrow(HEAD)
    finally:
        await connection.close()
    cursors = [encode(Position("inventory", row["epoch"], rng.randint(0, row["revision"]))) for _ in range(5)]
    return [
        Recorder("everything of 1", StockSource(channels.open(0)), cursors[0]),
        Recorder("everything of both", StockSource(channels.open(0, 1)), cursors[1]),
        Recorder("some parts", StockSource(channels.open(1, 0)), cursors[2], rng.sample(PARTS, 3)),
        Recorder("public of 2", StockSource(channels.open(1, signed_in=False)), cursors[3]),
        Recorder("slow", StockSource(channels.open(1)), cursors[4]),
    ]
