"""`./partstream replay FILE`: plays a file of stock movements and compares every final level with the file."""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from chassis.errors import PartstreamError
from chassis.logs import visible
from cli.console import terminal
from cli.console.output_file import check_outputs
from cli.replay.comparison import Comparison, compare
from cli.replay.errors import ReplayStopped
from cli.replay.movements import MovementsFile
from cli.replay.player import Player
from cli.replay.replayer import Pace, Replayer
from cli.replay.report import SHOWN_MISMATCHES, ReplayReport
from stack import stack_state
from stack.service_calls.retrying_calls import RetryingCalls
from stack.service_calls.run_journal import INTERRUPTED, RESUMED, RunJournal
from stack.service_calls.service_access import ServiceSettings, open_services, service_settings

SERVICE_NAME = "replay"
EXIT_MISMATCH = 1


def run(arguments: argparse.Namespace) -> int:
    """Replay the file; 0 when every final level is as the file says, else 1."""
    folder = stack_state.data_folder(arguments.data_dir)
    refusals = arguments.refusals or folder / "rejects" / f"{arguments.file.name}.refusals.jsonl"
    settings = service_settings(folder)
    check_outputs((("--refusals", arguments.refusals), ("--json", arguments.json)), input_path=arguments.file)
    report = ReplayReport(refusals)
    file = MovementsFile(arguments.file)
    try:
        file.check()
        summary, outcome = asyncio.run(_replay(arguments, settings, folder, file, report))
    except PartstreamError as refusal:
        message = f"The inventory service refused to go on: {refusal}"
        raise ReplayStopped(message) from refusal
    except KeyboardInterrupt:
        terminal.console(stderr=True).print(INTERRUPTED)
        raise
    finally:
        report.close()
        file.close()
    if arguments.json:
        arguments.json.write_text(json.dumps(summary, indent=2) + "\n")
    return _conclude(report, summary, outcome)


async def _replay(
    arguments: argparse.Namespace, settings: ServiceSettings, folder: Path, file: MovementsFile, report: ReplayReport
) -> tuple[dict[str, object], Comparison]:
    journal = RunJournal.open(folder, "replay", file.digest(), restart=arguments.restart)
    if journal.resumed:
        terminal.console(stderr=True).print(RESUMED)
    calls = RetryingCalls(arguments.patience)
    async with open_services(settings, SERVICE_NAME) as services:
        player = Player(services.inventory, calls, journal, report)
        replayer = Replayer(player, journal, report, Pace(arguments.speed))
        with _progress() as bar:
            task = bar.add_task(arguments.file.name, total=file.size, rows=0)
            final = await replayer.run(file, lambda position, rows: bar.update(task, completed=position, rows=rows))
            bar.update(task, completed=file.size)
        seconds = replayer.seconds
        outcome = await compare(services.inventory, calls, final)
    journal.finish()
    return report.as_json(seconds, calls.repeats, outcome), outcome


def _conclude(report: ReplayReport, summary: dict[str, object], outcome: Comparison) -> int:
    console = terminal.console()
    console.print(report.table(summary))
    if report.counts["refused"]:
        console.print(f"Refused rows are in {report.refusals}", soft_wrap=True)
    if not outcome.mismatches:
        console.print(f"Every one of {outcome.compared:,} final levels is as the file says.")
        return 0
    console.print(f"{len(outcome.mismatches):,} of {outcome.compared:,} final levels are not as the file says:")
    for mismatch in outcome.mismatches[:SHOWN_MISMATCHES]:
        console.print(visible(f"  {mismatch}"), soft_wrap=True)
    if len(outcome.mismatches) > SHOWN_MISMATCHES:
        console.print("  … --json has all of them")
    return EXIT_MISMATCH


def _progress() -> Progress:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rows]:,} rows"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=terminal.console(stderr=True))
