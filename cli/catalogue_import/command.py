"""`./partstream import FILE`: brings a catalogue file in through the services."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, DownloadColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from chassis.errors import PartstreamError
from cli.catalogue_import.category_writer import CategoryWriter, category_tree
from cli.catalogue_import.comparison import Comparison
from cli.catalogue_import.errors import ImportStopped, SeparatorsEqual
from cli.catalogue_import.existing_parts import ExistingParts
from cli.catalogue_import.importer import BATCH_ROWS, CatalogueImport
from cli.catalogue_import.numbers import NumberFormat
from cli.catalogue_import.part_writer import PartWriter
from cli.catalogue_import.prepare import prepared_batches
from cli.catalogue_import.report import Report
from cli.catalogue_import.source import CatalogueFile
from cli.catalogue_import.stock_writer import StockWriter
from cli.console import terminal
from cli.console.output_file import check_outputs
from stack import stack_state
from stack.errors import StackError, StackNotRunning
from stack.service_calls.retrying_calls import RetryingCalls
from stack.service_calls.run_journal import INTERRUPTED, RESUMED, RunJournal
from stack.service_calls.service_access import Services, ServiceSettings, open_services, service_settings

if TYPE_CHECKING:
    from collections.abc import Callable

SERVICE_NAME = "import"
NOTHING_TO_COMPARE_WITH = "No stack is running: what would change in parts that exist is not known."
EXIT_REJECTED = 1


def run(arguments: argparse.Namespace) -> int:
    """Import the file; 0 when nothing was rejected or rejects are allowed, else 1."""
    folder = stack_state.data_folder(arguments.data_dir)
    rejects = arguments.rejects or folder / "rejects" / f"{arguments.file.name}.rejects.jsonl"
    outputs = (("--rejects", arguments.rejects), ("--notes", arguments.notes), ("--json", arguments.json))
    settings = _settings(arguments, folder)
    check_outputs(outputs, input_path=arguments.file)
    file = CatalogueFile(arguments.file)
    report = Report(rejects, arguments.notes)
    started = time.monotonic()
    try:
        with _progress() as bar:
            task = bar.add_task(arguments.file.name, total=file.size, rows=0)

            def show(position: int, rows: int) -> None:
                bar.update(task, completed=position, rows=rows)

            if arguments.check:
                asyncio.run(_check(arguments, settings, file, report, show))
            elif settings is not None:
                asyncio.run(_import(arguments, settings, folder, file, report, show))
    except (StackError, PartstreamError, KeyboardInterrupt) as end:
        terminal.console(stderr=True).print(report.so_far(), soft_wrap=True)
        if isinstance(end, KeyboardInterrupt) and not arguments.check:
            terminal.console(stderr=True).print(INTERRUPTED)
        if isinstance(end, PartstreamError):
            message = f"The services stopped the import: {end}"
            raise ImportStopped(message) from end
        raise
    finally:
        report.close()
        file.close()
    return _conclude(arguments, report, time.monotonic() - started)


def _settings(arguments: argparse.Namespace, folder: Path) -> ServiceSettings | None:
    """Return where the services are; None for a check without a running stack, which has nothing to compare with."""
    try:
        return service_settings(folder)
    except StackNotRunning:
        if not arguments.check:
            raise
        terminal.console(stderr=True).print(NOTHING_TO_COMPARE_WITH, soft_wrap=True)
        return None


async def _check(
    arguments: argparse.Namespace,
    settings: ServiceSettings | None,
    file: CatalogueFile,
    report: Report,
    show: Callable[[int, int], None],
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        comparison = None
        if settings is not None:
            services = await stack.enter_async_context(open_services(settings, SERVICE_NAME))
            comparison = await _comparison(arguments, services, report)
        for batch in prepared_batches(file, report, BATCH_ROWS, _numbers(arguments)):
            for row in batch:
                report.note(row.line, row.part.sku, row.notes)
            report.counts["rows_acceptable"] += len(batch)
            if comparison is not None:
                await comparison.compare(batch)
            show(file.position, report.counts["rows"])


async def _comparison(arguments: argparse.Namespace, services: Services, report: Report) -> Comparison:
    calls = RetryingCalls(arguments.patience)
    report.existing = {}
    return Comparison(
        services,
        calls,
        ExistingParts(services.content, calls),
        await category_tree(services.content, calls),
        report,
        currency=arguments.currency,
        clear_empty=arguments.clear_empty,
        set_stock=arguments.set_stock,
    )


def _numbers(arguments: argparse.Namespace) -> NumberFormat:
    if arguments.decimal and arguments.decimal == arguments.thousands:
        message = f"--decimal and --thousands are both {arguments.decimal!r}"
        raise SeparatorsEqual(message)
    return NumberFormat(arguments.decimal, arguments.thousands)


async def _import(
    arguments: argparse.Namespace,
    settings: ServiceSettings,
    folder: Path,
    file: CatalogueFile,
    report: Report,
    show: Callable[[int, int], None],
) -> None:
    journal = RunJournal.open(folder, "import", file.digest(), restart=arguments.restart)
    if journal.resumed:
        terminal.console(stderr=True).print(RESUMED, soft_wrap=True)
    async with open_services(settings, SERVICE_NAME) as services:
        await _assembled(arguments, services, journal, report).run(file, show)
    journal.finish()


def _assembled(
    arguments: argparse.Namespace, services: Services, journal: RunJournal, report: Report
) -> CatalogueImport:
    calls = RetryingCalls(arguments.patience)
    return CatalogueImport(
        ExistingParts(services.content, calls),
        CategoryWriter(services.content, calls, journal, report),
        PartWriter(services.content, calls, journal, report, clear_empty=arguments.clear_empty),
        StockWriter(services.inventory, calls, journal, report, set_stock=arguments.set_stock),
        report,
        arguments.currency,
        _numbers(arguments),
    )


def _conclude(arguments: argparse.Namespace, report: Report, seconds: float) -> int:
    console = terminal.console()
    console.print(f"Import: {report.counts['rows']:,} rows in {seconds:.1f} s")
    for table in report.tables():
        console.print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(report.as_json(seconds), indent=2) + "\n")
    if not report.rejected:
        return 0
    console.print(report.rejected_where(), soft_wrap=True)
    return 0 if arguments.allow_rejects else EXIT_REJECTED


def _progress() -> Progress:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[rows]:,} rows"),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=terminal.console(stderr=True))
