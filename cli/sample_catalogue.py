"""Import ``stack/sample_catalogue.jsonl``: ``python -m cli.sample_catalogue --data-dir FOLDER``.

The file has the format of ``partstream import``, and a key of its own: ``reorder_point`` of the stock level.
"""

import argparse
import asyncio
import json
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
from partstream.inventory.v1 import stock_service_pb2
from stack.service_calls.retrying_calls import RetryingCalls
from stack.service_calls.run_journal import RunJournal
from stack.service_calls.service_access import Services, open_services, service_settings
from stack.supervision.sample_wanted import MARKER, SERVICE_NAME

log = logging.getLogger(__name__)

CATALOGUE = Path(__file__).resolve().parent.parent / "stack" / "sample_catalogue.jsonl"
CURRENCY = "EUR"
RETRY_SECONDS = 60.0
CONCURRENT_CALLS = 16


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Log settings of this program."""

    log_format: str = setting("PARTSTREAM_LOG_FORMAT", choice("json", "text"), default="text", help="form of log lines")
    log_level: str = setting(
        "PARTSTREAM_LOG_LEVEL", choice("DEBUG", "INFO", "WARNING", "ERROR"), default="INFO", help="least level logged"
    )


def main(arguments: list[str]) -> int:
    """Import the sample; return 1 when a service rejected a row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    settings = load(LogSettings)
    logs.configure("sample", format=settings.log_format, level=settings.log_level)
    return asyncio.run(_load_sample(parser.parse_args(arguments).data_dir))


async def _load_sample(data_folder: Path) -> int:
    marker = data_folder / MARKER
    marker.touch()
    started = time.monotonic()
    async with open_services(service_settings(data_folder), SERVICE_NAME) as services:
        report = await _import(services, data_folder)
    if report.rejected:
        print(f"The services rejected {report.rejected} rows of the sample: {report.rejects.path}", file=sys.stderr)
        return 1
    marker.unlink()
    seconds = round(time.monotonic() - started, 1)
    log.info("sample catalogue loaded", extra={"parts": report.counts["rows"], "seconds": seconds})
    return 0


async def _import(services: Services, data_folder: Path) -> Report:
    calls = RetryingCalls(RETRY_SECONDS)
    file = CatalogueFile(CATALOGUE)
    journal = RunJournal.open(data_folder, SERVICE_NAME, file.digest())
    report = Report(data_folder / "rejects" / f"{MARKER}.rejects.jsonl", None)
    try:
        await CatalogueImport(
            ExistingParts(services.content, calls),
            CategoryWriter(services.content, calls, journal, report),
            PartWriter(services.content, calls, journal, report, clear_empty=False),
            StockWriter(services.inventory, calls, journal, report, set_stock=False),
            report,
            CURRENCY,
        ).run(file, lambda _position, _rows: None)
        await _set_reorder_points(services, calls, journal)
    finally:
        report.close()
        file.close()
    if not report.rejected:
        journal.finish()
    return report


async def _set_reorder_points(services: Services, calls: RetryingCalls, journal: RunJournal) -> None:
    limit = asyncio.Semaphore(CONCURRENT_CALLS)

    async def set_one(part_id: str, reorder_point: int) -> None:
        request = stock_service_pb2.SetReorderPointRequest(part_id=part_id, reorder_point=reorder_point)
        request.request_id = journal.request_id_of("reorder-point", request)
        async with limit:
            await calls(services.inventory.SetReorderPoint, request)

    rows = [json.loads(line) for line in CATALOGUE.read_text(encoding="utf-8").splitlines()]
    await asyncio.gather(*(set_one(row["sku"], row["reorder_point"]) for row in rows if "reorder_point" in row))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
