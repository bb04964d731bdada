"""Every process is killed in the middle of a replay, and in the end nothing is missing, doubled or out of order."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from partstream.inventory.v1 import stock_pb2
from tests.flow.admin import Admin
from tests.flow.eventually import eventually
from tests.flow.generated_movements import write_movements
from tests.flow.recorders import LiveRecorder, StockRecorder
from tests.flow.running_stack import RunningStack
from tests.flow.stored_facts import AuditFacts, audit_facts, audit_of, ledger_of, log_facts, movements

PARTS = 40
SNAPSHOTS = 90
SPEED = str(30 * 86_400)  # snapshots are a day apart: thirty a second, so that the replay takes three seconds at least
SEEN_BEFORE_THE_KILL = 300  # of about 3,300 changes: well under way and far from the end


async def replayed(stack: RunningStack, path: Path, watcher: StockRecorder, killed: str) -> dict[str, Any]:
    summary = path.with_suffix(".summary.json")
    before = len(watcher.changes)
    verb = await stack.begin_verb("replay", str(path), "--speed", SPEED, "--json", str(summary))
    await well_under_way(verb, watcher, before + SEEN_BEFORE_THE_KILL)
    under_way = verb.returncode is None
    await stack.kill(killed)
    output, _ = await verb.communicate()
    assert verb.returncode == 0, output.decode()
    assert under_way
    return dict(json.loads(summary.read_text()))


async def well_under_way(verb: asyncio.subprocess.Process, watcher: StockRecorder, changes: int) -> None:
    """Return once the watcher has seen so many changes; a replay that ends before that says why."""
    seen = asyncio.create_task(watcher.until(lambda: len(watcher.changes) >= changes))
    ended = asyncio.create_task(verb.wait())
    await asyncio.wait([seen, ended], return_when=asyncio.FIRST_COMPLETED)
    if ended.done() and verb.returncode != 0:
        seen.cancel()
        output, _ = await verb.communicate()
        pytest.fail(f"the replay ended with {verb.returncode}: {output.decode()}")
    ended.cancel()
    await seen


@pytest.mark.slow
@pytest.mark.parametrize(
    "killed", ["inventory-1", "content-1", "edge-1", "edge-2", "worker", "scheduler", "redis", "postgres"]
)
async def test_a_process_is_killed_in_the_middle_of_a_replay(
    stack: RunningStack, admin: Admin, tmp_path: Path, killed: str
) -> None:
    path = tmp_path / "movements.csv.gz"
    parts = write_movements(path, f"K-{killed}-", parts=PARTS, snapshots=SNAPSHOTS)
    for part in parts:
        await admin.create_part(part)
    async with (
        StockRecorder(stack) as watcher,
        LiveRecorder(stack, parts, edge=1) as browser,
        LiveRecorder(stack, parts, edge=2, mode="all") as second,
    ):
        summary = await replayed(stack, path, watcher, killed)

        log = await log_facts(stack, "inventory")
        await watcher.until(lambda: watcher.revision == log.last)
        finals = {change.part_id: change.after for change in watcher.changes}
        for screen in (browser, second):
            await shows(screen, finals)

    assert summary["mismatches"] == []
    assert summary["refused"] == 0
    # A repeat shows a call met the gap; a store back up between two calls leaves nothing to repeat.
    assert not summary["calls_repeated"] or killed in {"inventory-1", "postgres"}
    assert bool(watcher.reconnects) == (killed == "inventory-1")
    assert bool(browser.reconnects) == (killed == "edge-1")
    assert summary["levels_equal"] == summary["levels_compared"] > PARTS * 0.8
    assert log.gap_free
    assert log.chain.first_bad_revision is None
    assert watcher.faults == []
    assert browser.faults + second.faults == []
    assert {part: browser.levels[part]["available"] for part in finals} == {
        part: 0 if level.HasField("archive_time") else level.available for part, level in finals.items()
    }
    in_ledger, in_log = await movements(stack)
    assert in_ledger == in_log
    audit = await eventually(lambda: caught_up(stack, log.last))
    assert audit.revisions == log.entries
    assert audit.places == audit.rows
    assert await audit_of(stack, parts) == await ledger_of(stack, parts)


async def shows(screen: LiveRecorder, levels: dict[str, stock_pb2.StockLevel]) -> None:
    """Return once a screen shows the versions of these levels."""
    await screen.until(lambda: all(screen.version(part) == level.version for part, level in levels.items()))


async def test_a_replay_that_was_killed_is_taken_up_where_it_stood(stack: RunningStack, tmp_path: Path) -> None:
    path = tmp_path / "movements.csv.gz"
    write_movements(path, "K-replay-", parts=PARTS, snapshots=SNAPSHOTS)
    async with StockRecorder(stack) as watcher:
        cut_off = await stack.begin_verb("replay", str(path), "--speed", SPEED)
        await well_under_way(cut_off, watcher, SEEN_BEFORE_THE_KILL)
        cut_off.kill()
        await cut_off.wait()
        summary = path.with_suffix(".summary.json")
        code, output = await stack.verb("replay", str(path), "--json", str(summary))
        assert code == 0, output
        log = await log_facts(stack, "inventory")
        await watcher.until(lambda: watcher.revision == log.last)

    played = json.loads(summary.read_text())
    assert played["mismatches"] == []
    assert played["changes"] <= len(watcher.changes) <= played["changes"] + played["sets"]  # a relisted part is two
    assert watcher.faults == []


async def caught_up(stack: RunningStack, revision: int) -> AuditFacts | None:
    found = await audit_facts(stack, "inventory")
    return found if found.last >= revision else None
