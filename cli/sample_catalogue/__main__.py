"""Loads the sample: ``python -m cli.sample_catalogue --data-dir D``.

The rows go through ``import`` like any others.
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
from cli.sample_catalogue.rows import CURRENCY, SampleRow, sample_rows
from partstream.inventory.v1 import stock_service_pb2
from stack.service_calls.patient_calls import PatientCalls
from stack.service_calls.run_journal import RunJournal
from stack.service_calls.service_access import Services, open_services, service_settings
from stack.supervision.sample_wanted import MARKER, SERVICE_NAME

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 60.0
CALLS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class LogSettings:
    """How the lines of this program look."""

    log_format: str = setting("PARTSTREAM_LOG_FORMAT", choice("json", "text"), default="text", help="form of log lines")
    log_level: str = setting(
        "PARTSTREAM_LOG_LEVEL", choice("DEBUG", "INFO", "WARNING", "ERROR"), default="INFO", help="least level logged"
    )


def main(arguments: list[str]) -> int:
    """Answer 0 when the sample is loaded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    settings = load(LogSettings)
    logs.configure("sample", format=settings.log_format, level=settings.log_level)
    return asyncio.run(_load_sample(parser.parse_args(arguments).data_dir))


async def _load_sample(data_folder: Path) -> int:
    marker = data_folder / MARKER
    rows = list(sample_rows())
    marker.write_text("".join(json.dumps(row.values, ensure_ascii=False) + "\n" for row in rows))
    started = time.monotonic()
    async with open_services(service_settings(data_folder), SERVICE_NAME) as services:
        rejected = await _load(services, data_folder, marker, rows)
    if rejected:
        return 1
    marker.unlink()
    log.info("sample catalogue loaded", extra={"parts": len(rows), "seconds": round(time.monotonic() - started, 1)})
    return 0


async def _load(services: Services, data_folder: Path, path: Path, rows: list[SampleRow]) -> int:
    """Bring everything in; answer how many rows the services refused."""
    calls = PatientCalls(PATIENCE_SECONDS)
    file = CatalogueFile(path)
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
        await _set_reorder_points(services, calls, journal, rows)
    finally:
        report.close()
        file.close()
    if report.rejected:
        print(f"{report.rejected} rows of the sample were refused: {report.rejects.path}", file=sys.stderr)
    else:
        journal.finish()
    return report.rejected


async def _set_reorder_points(
    services: Services, calls: PatientCalls, journal: RunJournal, rows: list[SampleRow]
) -> None:
    at_once = asyncio.Semaphore(CALLS_AT_ONCE)

    async def set_one(row: SampleRow) -> None:
        request = stock_service_pb2.SetReorderPointRequest(part_id=row.values["sku"], reorder_point=row.reorder_point)
        request.request_id = journal.request_id_of("reorder-point", request)
        async with at_once:
            await calls(services.inventory.SetReorderPoint, request)

    await asyncio.gather(*(set_one(row) for row in rows if row.reorder_point))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
