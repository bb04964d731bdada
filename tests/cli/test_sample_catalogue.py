"""The sample catalogue."""

import json
from typing import Any

from cli.catalogue_import.row import catalogue_part
from cli.catalogue_import.treatments import Treatment
from stack.sample_catalogue import FILE

MISSING_ON_PURPOSE = {Treatment.IMAGE_MISSING, Treatment.DATASHEET_MISSING}


def sample_rows() -> list[dict[str, Any]]:
    """Return the rows of the data file."""
    return [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]


def test_sample_is_large_and_varied_enough_to_look_at() -> None:
    rows = sample_rows()

    assert len(rows) >= 500
    assert len({tuple(row["category"]) for row in rows}) >= 20
    assert len({row["manufacturer"] for row in rows}) >= 10
    assert any(row["stock"] == 0 for row in rows)
    assert any(0 < row["stock"] <= 25 for row in rows)
    assert any(row["stock"] > 10_000 for row in rows)


def test_ids_and_part_numbers_are_unique() -> None:
    rows = sample_rows()

    for key in ("sku", "mpn", "title"):
        assert len({row[key] for row in rows}) == len(rows)


def test_import_takes_every_row_as_it_is() -> None:
    for row in sample_rows():
        _, notes = catalogue_part(row)

        assert {note.treatment for note in notes} <= MISSING_ON_PURPOSE
