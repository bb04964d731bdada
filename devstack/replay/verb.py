"""`./partstream replay FILE`: plays a file of stock movements and compares every final level with the file."""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from chassis.errors import PartstreamError
from devstack import stack_state
from devstack.console import input_file, terminal
from devstack.console.output_file import check_outputs
from devstack.replay.comparison import Comparison, compare
from devstack.replay.errors import ReplayStopped
from devstack.replay.movements import MovementsFile
from devstack.replay.player import Player
from devstack.replay.replayer import Pace, Replayer
from devstack.replay.report import SHOWN_MISMATCHES, ReplayReport
from devstack.service_calls.patient_calls import PatientCalls
from devstack.service_calls.run_journal import INTERRUPTED, RESUMED, RunJournal
from devstack.service_calls.service_access import ServiceSettings, open_services, service_settings

SERVICE_NAME = "replay"
EXIT_MISMATCH = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.add_argument("file", type=input_file.named, help="movements as CSV, plain or gzip; - = what is piped in")
    parser.add_argument("--data-dir", help="data folder of the running stack")
    parser.add_argument("--speed", type=_speed, default=None, help="`max` (default), or N times as fast as it happened")
    parser.add_argument("--json", type=Path, help="file for the summary as JSON")
    parser.add_argument("--refusals", type=Path, help="file for rows that were refused (default: in the data folder)")
    parser.add_argument("--restart", action="store_true", help="begin anew, even if an earlier run was cut off")
    parser.add_argument("--patience", type=float, default=120.0, help="seconds to wait for a service that is away")


def main(arguments: list[str]) -> int:
    """Answer the exit code of the verb for a command line."""
    parser = argparse.ArgumentParser(prog="./partstream replay", description=__doc__)
    add_arguments(parser)
    return run(parser.parse_args(arguments))


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
    calls = PatientCalls(arguments.patience)
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
        console.print(f"  {mismatch}", soft_wrap=True)
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


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        message = f"{text!r} is neither `max` nor a number above 0"
        raise argparse.ArgumentTypeError(message)
    return speed
