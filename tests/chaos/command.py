"""`./partstream chaos stream --seeds 1000`: run scenarios of faults, and report each seed that violates a property."""

from __future__ import annotations

import argparse
import asyncio
import functools
import itertools
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.chaos.redis_faults.scenario import open_redis_stage, summarise_redis
from tests.chaos.stream.faults import FAULTS
from tests.chaos.stream.scenario import Outcome, PropertyViolatedError
from tests.chaos.stream.stage import open_stage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

_SCENARIO_SECONDS = 120.0  # one that takes longer hangs


def run(given: argparse.Namespace) -> int:
    """Run the scenarios; return 1 when a property is violated."""
    names = [fault.__name__ for fault, _ in FAULTS]
    if given.fault and given.fault not in names:
        _print(f"unknown fault {given.fault}: choose one of {', '.join(names)}")
        return 2
    if given.jobs > 1:
        return _run_in_processes(given)
    seeds = range(given.first, given.first + given.seeds)
    codes = [_play_all(name, seeds, given.fault, keep_going=given.keep_going) for name in _names(given.what)]
    return max(codes)


def _names(what: str) -> list[str]:
    return list(_STAGES) if what == "all" else [what]


def _play_all(name: str, seeds: range, fault: str, *, keep_going: bool) -> int:
    opened, summarise = _STAGES[name]
    with opened() as stage:
        play = functools.partial(stage.play, fault=fault) if name == "stream" else stage.play
        return asyncio.run(_play(play, seeds, summarise, keep_going=keep_going))


async def _play(
    play: Callable[[int], Awaitable[Any]],
    seeds: range,
    summarise: Callable[[Sequence[Any]], str],
    *,
    keep_going: bool,
) -> int:
    began = time.monotonic()
    outcomes: list[Any] = []
    failed: list[int] = []
    for seed in seeds:
        try:
            async with asyncio.timeout(_SCENARIO_SECONDS):
                outcome = await play(seed)
        except (PropertyViolatedError, TimeoutError) as error:
            failed.append(seed)
            _print(f"seed {seed} FAILED\n{error}")
            if not keep_going:
                break
        else:
            outcomes.append(outcome)
            _print(f"seed {seed}: {outcome.described()}")
    verdict = f"failed seeds: {failed}" if failed else "all properties hold"
    count = len(outcomes) + len(failed)
    _print(f"{count} scenarios in {time.monotonic() - began:.0f} s, {summarise(outcomes)}: {verdict}")
    return 1 if failed else 0


def _summarise_stream(outcomes: Sequence[Outcome]) -> str:
    return (
        f"{sum(item.revisions for item in outcomes)} revisions, {sum(item.messages for item in outcomes)} messages, "
        f"{sum(item.sessions for item in outcomes)} connections, {sum(item.jumps for item in outcomes)} resyncs; "
        f"retention dropped entries in {sum(item.dropped > 0 for item in outcomes)} of them"
    )


_STAGES: dict[str, tuple[Callable[[], Any], Callable[[Sequence[Any]], str]]] = {
    "stream": (open_stage, _summarise_stream),
    "redis": (open_redis_stage, summarise_redis),
}


def _run_in_processes(given: argparse.Namespace) -> int:
    """Run ranges of seeds in several processes."""
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


def _print(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - output of a command
