"""The sample catalogue: ``stack/sample_catalogue.jsonl``."""

import json
from pathlib import Path

from cli.catalogue_import.prepare import prepared_batches
from cli.catalogue_import.report import Report
from cli.catalogue_import.source import CatalogueFile
from cli.catalogue_import.treatments import Treatment
from cli.sample_catalogue import CATALOGUE

EXPECTED_TREATMENTS = {Treatment.IMAGE_MISSING, Treatment.DATASHEET_MISSING, Treatment.KEY_NOT_IMPORTED}
ROWS = [json.loads(line) for line in CATALOGUE.read_text(encoding="utf-8").splitlines()]


def test_sample_is_large_and_varied() -> None:
    assert len(ROWS) >= 500
    assert len({tuple(row["category"]) for row in ROWS}) >= 20
    assert len({row["manufacturer"] for row in ROWS}) >= 10
    assert any(row["stock"] == 0 for row in ROWS)
    assert any(0 < row["stock"] <= row.get("reorder_point", 0) for row in ROWS)
    assert any(row["stock"] > 10_000 for row in ROWS)


def test_ids_part_numbers_and_titles_are_unique() -> None:
    for key in ("sku", "mpn", "title"):
        assert len({row[key] for row in ROWS}) == len(ROWS)


def test_import_accepts_every_row_unchanged(tmp_path: Path) -> None:
    file = CatalogueFile(CATALOGUE)
    report = Report(tmp_path / "rejects.jsonl", None)

    prepared = [row for batch in prepared_batches(file, report, 500) for row in batch]
    file.close()

    assert report.rejected == 0
    assert len(prepared) == len(ROWS)
    assert {note.treatment for row in prepared for note in row.notes} <= EXPECTED_TREATMENTS
    not_imported = {
        note.field for row in prepared for note in row.notes if note.treatment is Treatment.KEY_NOT_IMPORTED
    }
    assert not_imported == {"reorder_point"}
