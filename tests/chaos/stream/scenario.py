"""One scenario: runs a schedule drawn from its seed, and checks the properties."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from changelog import cursor as cursors
from changelog.sources import StockSource
from chassis.channels import open_channel
from chassis.errors import CursorCompacted, EpochChanged
from tests.chaos.stream.faults import FAULTS
from tests.chaos.stream.properties import Log, check_recorder, check_state, read_levels, read_log
from tests.chaos.stream.recorders import Recorder
from tests.chaos.stream.world import open_world

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.chaos.stream.world import Place, World

_STEPS = (4, 7)
_PAUSE_SECONDS = (0.02, 0.3)
_RESUMED = 4


class PropertyViolatedError(AssertionError):
    """A property is violated; the message has the seed and the faults."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The figures of a scenario."""

    seed: int
    revisions: int
    messages: int
    sessions: int
    jumps: int
    acknowledged: int
    rejected: int
    dropped: int
    seconds: float

    def described(self) -> str:
        """Return the figures as text."""
        return (
            f"{self.revisions} revisions, {self.messages} messages, {self.sessions} sessions, {self.jumps} resyncs, "
            f"{self.acknowledged} writes ({self.rejected} failed), {self.dropped} entries dropped, {self.seconds:.1f} s"
        )


def schedule(seed: int, fault: str = "") -> list[tuple[Callable[[World], Awaitable[None]], float]]:
    """Return the faults, and the pause after each; with a name, this fault only."""
    rng = random.Random(f"schedule-{seed}")
    faults, weights = zip(*(item for item in FAULTS if fault in {"", item[0].__name__}), strict=True)
    steps = rng.randint(*_STEPS)
    return [(fault, rng.uniform(*_PAUSE_SECONDS)) for fault in rng.choices(faults, weights, k=steps)]


async def play(seed: int, place: Place, fault: str = "") -> Outcome:
    """Run a scenario; raise ``PropertyViolatedError`` with the property and the faults before it."""
    began = time.monotonic()
    async with open_world(seed, place) as world:
        try:
            for inject, pause in schedule(seed, fault):
                world.story.append(f"{time.monotonic() - began:6.2f} {inject.__name__}")
                await inject(world)
                await asyncio.sleep(pause)
            world.story.append(f"{time.monotonic() - began:6.2f} settle")
            await world.settle()
            log = await _check(world)
            errors = "\n".join(replica.errors() for replica in world.replicas)
            assert not errors.strip(), errors
        except (AssertionError, TimeoutError) as error:
            raise PropertyViolatedError(_report(seed, world, error)) from error
        return Outcome(
            seed,
            log.head,
            sum(len(session.messages) for recorder in world.recorders for session in recorder.sessions),
            sum(len(recorder.sessions) for recorder in world.recorders),
            sum(len(recorder.jumps) for recorder in world.recorders) + world.follower.counts.resyncs - 1,
            sum(len(storm.acknowledged) for storm in world.storms),
            sum(storm.rejected for storm in world.storms),
            log.dropped_to,
            time.monotonic() - began,
        )


async def _check(world: World) -> Log:
    await _check_follower(world)
    for recorder in world.recorders:
        await recorder.stop()
    log = await read_log(world.dsn)
    for recorder in world.recorders:
        check_recorder(recorder, log)
    _check_acknowledged(world, log)
    await _check_resuming(world, log)
    return log


async def _check_follower(world: World) -> None:
    """Compare its state with the database's, once late writes have ended."""
    while True:
        head, levels = await read_levels(world.dsn)
        await world.follower.reached(head, 30)
        if world.follower.position == head:
            break
    check_state(world.state, levels)
    await world.follower.stop()
    assert world.follower.counts.gaps == 0, "the follower found a gap"
    assert world.follower.counts.duplicates == 0, "the follower received a duplicate"


def _check_acknowledged(world: World, log: Log) -> None:
    """Check that every acknowledged write is in the log."""
    for storm in world.storms:
        for part_id, token in storm.acknowledged:
            position = cursors.position_in(token, "inventory")
            assert position is not None
            assert position.revision <= log.head, f"the write of {part_id} was acknowledged and is not in the log"


async def _check_resuming(world: World, log: Log) -> None:
    """Check that any cursor ever sent resumes after it exactly, or is rejected for a valid reason."""
    given = [
        (recorder, session, number)
        for recorder in world.recorders
        for session in recorder.sessions
        for number in range(len(session.messages))
    ]
    for recorder, session, number in world.rng.sample(given, min(_RESUMED, len(given))):
        message = session.messages[number]
        cursor = cursors.encode(cursors.Position("inventory", message.epoch, message.revision))
        await _resume(world, recorder, cursor, log)


async def _resume(world: World, model: Recorder, cursor: str, log: Log) -> None:
    replica = world.rng.choice(world.replicas)
    channel = open_channel([f"127.0.0.1:{replica.port}"], token=world.token if not model.is_public else None)
    again = Recorder(f"{model.name} again", StockSource(channel), cursor, sorted(model.part_ids))
    try:
        again.start()
        async with asyncio.timeout(20):
            await again.reached(log.head)
        await again.stop()
        log = await read_log(world.dsn)  # late writes may follow
        allowed = {CursorCompacted.reason, EpochChanged.reason}
        assert all(reason in allowed for _, _, reason in again.jumps)
        check_recorder(again, log)
    finally:
        await again.stop()
        await channel.close()


def _report(seed: int, world: World, error: BaseException) -> str:
    recorders = "\n".join(
        f"  {recorder.name}: at {recorder.position.revision} after {len(recorder.sessions)} sessions, "
        f"ended by {[session.ended_by for session in recorder.sessions][-6:]}, jumps {recorder.jumps}"
        for recorder in world.recorders
    )
    story = "\n".join(f"  {line}" for line in world.story)
    return f"seed {seed}: {error!r}\n{story}\n{recorders}\n  follower: {world.follower.counts}"
