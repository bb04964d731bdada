"""One scenario: runs a schedule drawn from its seed, and checks the properties."""

from __future__ import annotations

import asyncio
import contextlib
import random
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import redis

from changelog.cursor import Position
from edge.cache import keys
from partstream.inventory.v1 import stock_pb2
from tasks.audit.queries import position_of
from tests.chaos.redis_faults.faults import FAULTS
from tests.chaos.redis_faults.world import open_world
from tests.chaos.stream.own_postgres import OwnPostgres
from tests.chaos.stream.scenario import PropertyViolatedError
from tests.flow.eventually import eventually
from tests.harness.templates import database, ensure_template
from tests.tasks.live_log import stored_revisions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from tests.chaos.redis_faults.world import World

_STEPS = (3, 6)
_PAUSE_SECONDS = (0.05, 0.6)
_RECOVERY_SECONDS = 90.0  # on a loaded machine; an idle one needs 2 to 10
HEAD = "SELECT max(revision) FROM change_log"


@dataclass(frozen=True, slots=True)
class RedisOutcome:
    """The figures of a scenario."""

    seed: int
    revisions: int
    moved: int
    recovery_seconds: float
    seconds: float

    def described(self) -> str:
        """Return the figures as text."""
        return (
            f"{self.revisions} revisions, {self.moved} keys quarantined, recovered "
            f"{self.recovery_seconds:.1f} s after the last fault, {self.seconds:.1f} s"
        )


def summarise_redis(outcomes: Sequence[RedisOutcome]) -> str:
    """Return the totals of all scenarios."""
    slowest = max((item.recovery_seconds for item in outcomes), default=0.0)
    return f"{sum(item.revisions for item in outcomes)} revisions, slowest recovery {slowest:.1f} s"


def schedule(seed: int) -> list[tuple[Callable[[World], Awaitable[None]], float]]:
    """Return the faults, and the pause after each."""
    rng = random.Random(f"schedule-{seed}")
    faults, weights = zip(*FAULTS, strict=True)
    chosen = rng.choices(faults, weights, k=rng.randint(*_STEPS))
    return [(fault, rng.uniform(*_PAUSE_SECONDS)) for fault in chosen]


async def play(seed: int, log_dsn: str, audit_dsn: str, folder: Path) -> RedisOutcome:
    """Run a scenario; raise ``PropertyViolatedError`` with the property and the faults before it."""
    began = time.monotonic()
    async with open_world(seed, log_dsn, audit_dsn, folder) as world:
        writer = asyncio.create_task(world.write())
        try:
            for fault, pause in schedule(seed):
                world.story.append(f"{time.monotonic() - began:6.2f} {fault.__name__}")
                await fault(world)
                await asyncio.sleep(pause)
            world.writing = False
            await writer
            # Keys planted after the last change are detected by the next one.
            await world.log.write("last-", 1)
            settled = time.monotonic()
            head: int = await world.log.database.pool.fetchval(HEAD)
            await _check(world, head)
        except (AssertionError, TimeoutError) as error:
            story = "\n".join(f"  {line}" for line in world.story)
            message = f"seed {seed}: {error!r}\n{story}\n{world.worker.read_log()[-4000:]}"
            raise PropertyViolatedError(message) from error
        finally:
            world.writing = False
            await writer
        now = time.monotonic()
        return RedisOutcome(seed, head, len(world.moved), now - settled, now - began)


async def _check(world: World, head: int) -> None:
    """Check that the audit trail is complete, and that the shared cache is at the end of the log, stores and serves."""
    await eventually(lambda: _is_stored(world, head), _RECOVERY_SECONDS)
    stored = await position_of(world.audit.pool, "inventory")
    assert stored is not None
    end = Position(keys.INVENTORY, stored.epoch, head)
    await eventually(lambda: _is_applied(world, end), _RECOVERY_SECONDS)
    await eventually(lambda: _serves(world, end), _RECOVERY_SECONDS)
    assert await stored_revisions(world.audit.pool) == list(range(1, head + 1)), "the trail has a gap or a duplicate"
    assert world.worker.runs, "the worker has ended"


async def _is_stored(world: World, head: int) -> bool:
    stored = await position_of(world.audit.pool, "inventory")
    return stored is not None and stored.revision >= head


async def _is_applied(world: World, end: Position) -> bool:
    """Whether the shared cache is at the end of the log.

    Its head, which has the epoch for the next process that applies the log, may be lost: that process starts there.
    """
    state = f"{keys.namespace(end.log, end.epoch)}:state"
    with redis.Redis.from_url(world.redis.url) as client, contextlib.suppress(redis.RedisError):
        at = client.hget(state, "at")
        return at is not None and at.isdigit() and int(at) >= end.revision
    return False


async def _serves(world: World, position: Position) -> bool:
    level = stock_pb2.StockLevel(part_id="probe", location_id="main", version=1, on_hand=1, available=1)
    stock = stock_pb2.PartStock(part_id="probe", levels=[level])
    await world.shared.fill(keys.STOCK, {"probe": stock}, position)
    return bool(await world.shared.read(keys.STOCK, position.epoch, {"probe": position.revision}))


class RedisStage:
    """Runs one scenario at a time, on a PostgreSQL server of its own."""

    def __init__(self, folder: Path) -> None:
        """Nothing runs before ``set_up``."""
        self._folder = folder
        self._postgres = OwnPostgres(folder / "postgres")

    def set_up(self) -> None:
        """Return once scenarios can run."""
        self._postgres.start()
        self._template = ensure_template(self._postgres.servers, "audit", self._folder)

    def tear_down(self) -> None:
        """Stop the server."""
        self._postgres.stop()

    async def play(self, seed: int) -> RedisOutcome:
        """Run a scenario on new databases."""
        folder = self._folder / f"seed-{seed}"
        folder.mkdir()
        servers = self._postgres.servers
        with database(servers, "inventory", "template0") as log, database(servers, "audit", self._template) as audit:
            return await play(seed, log, audit, folder)


@contextlib.contextmanager
def open_redis_stage() -> Iterator[RedisStage]:
    """Yield a stage, and stop it afterwards."""
    with tempfile.TemporaryDirectory(prefix="partstream-chaos-", ignore_cleanup_errors=True) as name:
        stage = RedisStage(Path(name))
        try:
            stage.set_up()
            yield stage
        finally:
            stage.tear_down()
