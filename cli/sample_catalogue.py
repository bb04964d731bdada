"""Imports the sample catalogue: ``python -m cli.sample_catalogue --data-dir D``."""

import argparse
import asyncio
import logging
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from chassis import logs
from chassis.settings import choice, load, setting
from cli.catalogue_import.category_writer import CategoryWriter
from cli.catalogue_import.existing_parts import ExistingParts
from cli.catalogue_import.importer import CatalogueImport
from cli.catalogue_import.part_writer import PartWriter
from cli.catalogue_import.report import Report
from cli.catalogue_import.source import CatalogueFile
from cli.catalogue_import.stock_writer import StockWriter
from stack.sample_catalogue import CURRENCY, FILE, MARKER, SERVICE_NAME
from stack.service_calls.retrying_calls import RetryingCalls
from stack.service_calls.run_journal import RunJournal
from stack.service_calls.service_access import Services, open_services, service_settings

log = logging.getLogger(__name__)

RETRY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Format and level of this program's log."""

    log_format: str = setting("PARTSTREAM_LOG_FORMAT", choice("json", "text"), default="text", help="log format")
    log_level: str = setting(
        "PARTSTREAM_LOG_LEVEL", choice("DEBUG", "INFO", "WARNING", "ERROR"), default="INFO", help="log level"
    )


def main(arguments: list[str]) -> int:
    """Return 0 when the whole catalogue is imported."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    settings = load(LogSettings)
    logs.configure("sample", format=settings.log_format, level=settings.log_level)
    return asyncio.run(_import_sample(parser.parse_args(arguments).data_dir))


async def _import_sample(data_folder: Path) -> int:
    marker = data_folder / MARKER
    marker.touch()  # an interrupted import is resumed by the next start
    started = time.monotonic()
    async with open_services(service_settings(data_folder), SERVICE_NAME) as services:
        report = await _import(services, data_folder)
    if report.rejected:
        print(f"{report.rejected} rows of the sample were rejected: {report.rejects.path}", file=sys.stderr)
        return 1
    marker.unlink()
    seconds = round(time.monotonic() - started, 1)
    log.info("sample catalogue loaded", extra={"parts": report.counts["rows"], "seconds": seconds})
    return 0


async def _import(services: Services, data_folder: Path) -> Report:
    calls = RetryingCalls(RETRY_SECONDS)
    file = CatalogueFile(FILE)
    journal = RunJournal.open(data_folder, SERVICE_NAME, file.digest())
    report = Report(data_folder / "rejects" / f"{SERVICE_NAME}.rejects.jsonl", None)
    try:
        await CatalogueImport(
            ExistingParts(services.content, calls),
            CategoryWriter(services.content, calls, journal, report),
            PartWriter(services.content, calls, journal, report, clear_empty=False),
            StockWriter(services.inventory, calls, journal, report, set_stock=False),
            report,
            CURRENCY,
        ).run(file, lambda _position, _rows: None)
    finally:
        report.close()
        file.close()
    if not report.rejected:
        journal.finish()
    return report


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
