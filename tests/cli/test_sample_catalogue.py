"""The sample catalogue."""

from cli.catalogue_import.row import catalogue_part
from cli.catalogue_import.treatments import Treatment
from cli.sample_catalogue.rows import sample_rows

LEFT_OUT_ON_PURPOSE = {Treatment.IMAGE_MISSING, Treatment.DATASHEET_MISSING}


def test_sample_is_large_and_varied_enough_to_look_at() -> None:
    rows = [row.values for row in sample_rows()]

    assert len(rows) >= 500
    assert len({tuple(row["category"]) for row in rows}) >= 20
    assert len({row["manufacturer"] for row in rows}) >= 10
    assert any(row["stock"] == 0 for row in rows)
    assert any(0 < row["stock"] <= 25 for row in rows)
    assert any(row["stock"] > 10_000 for row in rows)


def test_sample_is_the_same_every_time() -> None:
    assert list(sample_rows()) == list(sample_rows())


def test_ids_and_part_numbers_are_unique() -> None:
    rows = [row.values for row in sample_rows()]

    for key in ("sku", "mpn", "title"):
        assert len({row[key] for row in rows}) == len(rows)


def test_import_takes_every_row_as_it_is() -> None:
    for row in sample_rows():
        _, notes = catalogue_part(row.values)

        assert {note.treatment for note in notes} <= LEFT_OUT_ON_PURPOSE
