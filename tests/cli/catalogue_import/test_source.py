"""Rows of a file, in every form a file may have."""

import gzip
import json
import os
import threading
from pathlib import Path

import pytest

from cli.catalogue_import.errors import FileUnreadable
from cli.catalogue_import.source import DEEPEST_NESTING, LONGEST_LINE, CatalogueFile, Row, UnreadableRow


def rows_of(path: Path) -> list[Row | UnreadableRow]:
    file = CatalogueFile(path)
    try:
        return list(file.rows())
    finally:
        file.close()


def written(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def reasons(found: list[Row | UnreadableRow]) -> list[tuple[int, str]]:
    return [(row.line, row.fault.reason) for row in found if isinstance(row, UnreadableRow)]


@pytest.mark.parametrize("name", ["parts.jsonl", "parts.ndjson", "parts.data"])
def test_reads_json_lines_and_counts_blank_ones(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, name, b'{"sku": "A1"}\n\n{"sku": "A2"}')

    found = rows_of(path)

    assert found == [Row(1, {"sku": "A1"}), Row(3, {"sku": "A2"})]


def test_reads_gzip_whatever_its_name(tmp_path: Path) -> None:
    path = written(tmp_path, "parts.jsonl", gzip.compress(b'{"sku": "A1"}\n'))

    assert rows_of(path) == [Row(1, {"sku": "A1"})]


def test_reads_csv_with_json_cells_and_both_forms_of_category(tmp_path: Path) -> None:
    content = (
        "\ufeffsku,title,category,specs,prices,stock\n"
        'A1,"Two\nlines",Passives > Resistors,"{""Ohm"": 5}","[[1, 0.5]]",7\n'
        'A2,,"[""Passives"", ""A > B""]",,,\n'
    )
    path = written(tmp_path, "parts.csv.gz", gzip.compress(content.encode()))

    found = rows_of(path)

    assert found == [
        Row(
            2,
            {
                "sku": "A1",
                "title": "Two\nlines",
                "category": ["Passives", "Resistors"],
                "specs": {"Ohm": 5},
                "prices": [[1, 0.5]],
                "stock": "7",
            },
        ),
        Row(
            4,
            {
                "sku": "A2",
                "title": None,
                "category": ["Passives", "A > B"],
                "specs": None,
                "prices": None,
                "stock": None,
            },
        ),
    ]


def test_a_bad_line_is_one_bad_row(tmp_path: Path) -> None:
    lines = [b'{"sku": "A1"', b"[1]", b'{"sku": "\xff"}', b'{"sku": "A", "sku": "B"}', b'{"sku": "A5"}']
    path = written(tmp_path, "parts.jsonl", b"\n".join(lines))

    found = rows_of(path)

    assert reasons(found) == [(1, "NOT_JSON"), (2, "NOT_AN_OBJECT"), (3, "NOT_UTF8"), (4, "KEY_TWICE")]
    assert found[-1] == Row(5, {"sku": "A5"})


def test_nesting_without_end_is_one_bad_row(tmp_path: Path) -> None:
    path = written(tmp_path, "parts.jsonl", b'{"specs": ' + b"[" * 200_000 + b'\n{"sku": "A2"}\n')

    assert reasons(rows_of(path)) == [(1, "NESTED_TOO_DEEP")]


@pytest.mark.parametrize(
    ("depth", "found"),
    [(DEEPEST_NESTING - 1, []), (DEEPEST_NESTING, [(1, "NESTED_TOO_DEEP")]), (900, [(1, "NESTED_TOO_DEEP")])],
)
def test_nesting_has_one_limit_on_every_python(tmp_path: Path, depth: int, found: list[tuple[int, str]]) -> None:
    """900 lists were read as JSON, and joining them ended the whole import with a RecursionError."""
    path = written(tmp_path, "parts.jsonl", b'{"specs": ' + b"[" * depth + b"]" * depth + b"}")

    assert reasons(rows_of(path)) == found


def test_a_line_without_end_is_one_bad_row(tmp_path: Path) -> None:
    path = written(tmp_path, "parts.jsonl", b'{"sku": "' + b"A" * LONGEST_LINE + b'"}\n{"sku": "A2"}\n')

    found = rows_of(path)

    assert reasons(found) == [(1, "TOO_LONG")]
    assert found[-1] == Row(2, {"sku": "A2"})


def test_a_quote_that_is_never_closed_says_which_lines_it_took_in(tmp_path: Path) -> None:
    """Without strict reading the rest of the file became one cell of the row, and nobody was told."""
    path = written(tmp_path, "parts.csv", b'sku,title\nA1,fine\nA2,"12 inch\nA3,lost\nA4,lost\n')

    found = rows_of(path)

    assert reasons(found) == [(3, "NOT_CSV")]
    assert "lines 3 to 5" in found[-1].fault.message if isinstance(found[-1], UnreadableRow) else False


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("parts.csv", b"PK\x03\x04....", "zip archive or a spreadsheet"),
        ("parts.jsonl", '{"sku": "A1"}'.encode("utf-16"), "UTF-16"),
        ("parts.json", b'[{"sku": "A1"}]', "one JSON array"),
        ("parts.json", b'[\n  {"sku": "A1"}\n]', "one JSON array"),
        ("parts.jsonl.xz", b"\xfd7zXZ\x00", "packed with xz"),
    ],
)
def test_a_file_of_another_kind_is_said_to_be_that(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    with pytest.raises(FileUnreadable, match=said):
        rows_of(written(tmp_path, name, content))


def test_a_pipe_is_read_like_a_file(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(gzip.compress(b'{"sku": "A1"}\n'),))
    writer.start()
    file = CatalogueFile(path)
    writer.join()

    digest, rows = file.digest(), list(file.rows())

    file.close()
    assert rows == [Row(1, {"sku": "A1"})]
    assert len(digest) == 64


def test_a_bad_csv_line_is_one_bad_row(tmp_path: Path) -> None:
    path = written(tmp_path, "parts.csv", b"sku,specs\nA1,{\nA2,{},more\nA3,\xff\nA4,{}\n")

    found = rows_of(path)

    assert reasons(found) == [(2, "NOT_JSON"), (3, "TOO_MANY_CELLS"), (4, "NOT_UTF8")]
    assert [row.line for row in found] == [2, 3, 4, 5]


def test_a_csv_of_one_endless_line_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    path = written(tmp_path, "parts.csv", b"sku,title\nA1,fine\n" + b"x" * (LONGEST_LINE + 1))

    with pytest.raises(FileUnreadable, match="line 3 has more than"):
        rows_of(path)


@pytest.mark.parametrize("header", [b"", b"title,stock\n", b"sku,sku\n"])
def test_a_csv_without_usable_header_is_refused(tmp_path: Path, header: bytes) -> None:
    with pytest.raises(FileUnreadable, match="header"):
        rows_of(written(tmp_path, "parts.csv", header))


def test_a_file_that_is_cut_off_is_refused_after_what_could_be_read(tmp_path: Path) -> None:
    lines = b"".join(
        json.dumps({"sku": f"A{number}", "title": str(number) * 40}).encode() + b"\n" for number in range(9999)
    )
    path = written(tmp_path, "parts.jsonl.gz", gzip.compress(lines)[:-2000])
    file = CatalogueFile(path)

    with pytest.raises(FileUnreadable, match="cut off"):
        list(file.rows())

    file.close()


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileUnreadable, match="No such file"):
        CatalogueFile(tmp_path / "none.jsonl")


def test_the_digest_is_that_of_the_file_on_disk(tmp_path: Path) -> None:
    file = CatalogueFile(written(tmp_path, "parts.jsonl", b"abc"))

    assert file.digest() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

    file.close()


def test_known_names_are_known_in_any_case(tmp_path: Path) -> None:
    """A column `Title` was no title, so that titles were overwritten with the part number."""
    table = written(tmp_path, "parts.csv", b"SKU, Title ,Colour\nA1,Bolt,red\n")
    lines = written(tmp_path, "parts.jsonl", b'{"Sku": "A1", "TITLE": "Bolt", "Colour": "red"}\n')

    for path in (table, lines):
        (row,) = rows_of(path)
        assert isinstance(row, Row)
        assert row.values == {"sku": "A1", "title": "Bolt", "Colour": "red"}


def test_two_spellings_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileUnreadable, match="distinct names"):
        rows_of(written(tmp_path, "parts.csv", b"sku,title,Title\nA1,a,b\n"))

    assert reasons(rows_of(written(tmp_path, "parts.jsonl", b'{"sku": "A1", "title": "a", "Title": "b"}\n'))) == [
        (1, "KEY_TWICE")
    ]


def test_a_bare_price_of_a_table_stays_as_it_is_written(tmp_path: Path) -> None:
    path = written(tmp_path, "parts.csv", b'sku,prices\nA1,1.000\nA2,"0,25"\nA3,"[[1, 0.5]]"\n')

    assert [row.values["prices"] for row in rows_of(path) if isinstance(row, Row)] == ["1.000", "0,25", [[1, 0.5]]]
