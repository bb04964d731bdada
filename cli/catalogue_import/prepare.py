"""Reads a catalogue file into batches of parts that are fit to be written; everything else becomes a reject."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cli.catalogue_import.errors import RowRejected
from cli.catalogue_import.numbers import AS_USUAL, NumberFormat
from cli.catalogue_import.report import Report, SeenSkus
from cli.catalogue_import.row import CataloguePart, catalogue_part
from cli.catalogue_import.source import CatalogueFile, Row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.catalogue_import.treatments import Notes


@dataclass(frozen=True, slots=True)
class PreparedRow:
    """A row that can be written, with its line in the file and its corrections."""

    line: int
    part: CataloguePart
    notes: Notes


def prepared_batches(
    file: CatalogueFile, report: Report, size: int, numbers: NumberFormat = AS_USUAL
) -> Iterator[list[PreparedRow]]:
    """Yield the rows of the file in batches of at most `size`. Raises FileUnreadable."""
    seen = SeenSkus()
    try:
        batch: list[PreparedRow] = []
        for row in _prepared(file, report, seen, numbers):
            batch.append(row)
            if len(batch) == size:
                yield batch
                batch = []
        if batch:
            yield batch
    finally:
        seen.close()


def _prepared(file: CatalogueFile, report: Report, seen: SeenSkus, numbers: NumberFormat) -> Iterator[PreparedRow]:
    for row in file.rows():
        report.counts["rows"] += 1
        if not isinstance(row, Row):
            report.reject(row.line, "", row.fault)
            continue
        try:
            yield _prepared_row(row, seen, numbers)
        except RowRejected as fault:
            report.reject(row.line, str(row.values.get("sku") or "")[:64], fault)


def _prepared_row(row: Row, seen: SeenSkus, numbers: NumberFormat) -> PreparedRow:
    part, notes = catalogue_part(row.values, numbers)
    earlier = seen.add(part.sku, row.line)
    if earlier is not None:
        raise RowRejected("sku", "SKU_TWICE", f"the same sku stands on line {earlier}", part.sku)
    return PreparedRow(row.line, part, notes)
