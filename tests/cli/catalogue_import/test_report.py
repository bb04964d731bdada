"""What is written about rows that nobody would want in a file."""

import json
from pathlib import Path

from cli.catalogue_import.errors import RowRejected
from cli.catalogue_import.report import Report
from cli.catalogue_import.treatments import Notes, Treatment


def written(path: Path) -> list[dict[str, object]]:
    def refuse(word: str) -> object:
        raise AssertionError(word)

    return [json.loads(line, parse_constant=refuse) for line in path.read_text().splitlines()]


def test_half_a_surrogate_pair_and_nan_do_not_end_the_report(tmp_path: Path) -> None:
    """A SKU of half a surrogate pair ended the whole import, for UTF-8 cannot say it."""
    report = Report(tmp_path / "rejects", tmp_path / "notes")
    notes = Notes()
    notes.add(Treatment.KEY_NOT_IMPORTED, "\ud800", float("nan"))

    report.reject(1, "\ud800", RowRejected("sku", "MALFORMED", "no", "\ud800"))
    report.reject(2, "", RowRejected("stock", "NOT_A_COUNT", "no", float("inf")))
    report.note(3, "C1", notes)
    report.close()

    first, second = written(tmp_path / "rejects")
    assert (first["sku"], first["value"], second["value"]) == ("\ud800", "\ud800", "inf")
    assert [(note["field"], note["before"]) for note in written(tmp_path / "notes")] == [("\ud800", "nan")]
