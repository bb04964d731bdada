"""`./partstream chaos stream --seeds 1000`: plays scenarios of faults and says which seed, if any, broke a promise."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import subprocess
import sys
import time
from pathlib import Path

from tests.chaos.stream.faults import FAULTS
from tests.chaos.stream.scenario import Outcome, PropertyBrokenError
from tests.chaos.stream.stage import Stage, open_stage

_SCENARIO_SECONDS = 120.0  # one that takes longer has hung


def run(given: argparse.Namespace) -> int:
    """Play; 1 when a promise was broken."""
    names = [fault.__name__ for fault, _ in FAULTS]
    if given.fault and given.fault not in names:
        _say(f"there is no fault {given.fault}: {', '.join(names)}")
        return 2
    if given.jobs > 1:
        return _share_out(given)
    with open_stage() as stage:
        return asyncio.run(
            _play(stage, range(given.first, given.first + given.seeds), given.fault, keep_going=given.keep_going)
        )


async def _play(stage: Stage, seeds: range, fault: str, *, keep_going: bool) -> int:
    began = time.monotonic()
    outcomes: list[Outcome] = []
    broken: list[int] = []
    for seed in seeds:
        try:
            async with asyncio.timeout(_SCENARIO_SECONDS):
                outcome = await stage.play(seed, fault)
        except (PropertyBrokenError, TimeoutError) as error:
            broken.append(seed)
            _say(f"seed {seed} BROKEN\n{error}")
            if not keep_going:
                break
        else:
            outcomes.append(outcome)
            _say(
                f"seed {seed}: {outcome.revisions} revisions, {outcome.messages} messages, {outcome.sessions} sessions,"
                f" {outcome.jumps} resyncs, {outcome.acknowledged} writes ({outcome.refused} refused),"
                f" {outcome.dropped} entries dropped, {outcome.seconds:.1f} s"
            )
    _say(_summary(outcomes, broken, time.monotonic() - began))
    return 1 if broken else 0


def _summary(outcomes: list[Outcome], broken: list[int], seconds: float) -> str:
    verdict = f"broken: seeds {broken}" if broken else "every promise was kept"
    return (
        f"{len(outcomes) + len(broken)} scenarios in {seconds:.0f} s, {sum(item.revisions for item in outcomes)} "
        f"revisions, {sum(item.messages for item in outcomes)} messages, "
        f"{sum(item.sessions for item in outcomes)} connections, {sum(item.jumps for item in outcomes)} resyncs; "
        f"retention dropped entries in {sum(item.dropped > 0 for item in outcomes)} of them: {verdict}"
    )


def _share_out(given: argparse.Namespace) -> int:
    """Give each process of its own a range of seeds."""
    command = [sys.executable, "-m", "cli", "chaos", given.what]
    extra = ["--keep-going"] if given.keep_going else []
    extra += ["--fault", given.fault] if given.fault else []
    bounds = [given.first + given.seeds * number // given.jobs for number in range(given.jobs + 1)]
    processes = [
        subprocess.Popen(
            [*command, "--first", str(first), "--seeds", str(end - first), *extra],
            cwd=Path(__file__).resolve().parents[2],
        )
        for first, end in itertools.pairwise(bounds)
    ]
    return max(process.wait() for process in processes)


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a verb talks to a person
