"""Read a catalogue file row by row: JSON lines or CSV, plain or gzip, in memory that does not grow with the file."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import itertools
import json
import os
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from cli.catalogue_import.errors import FileUnreadable, RowRejected
from cli.console.input_file import opened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

GZIP_MAGIC = b"\x1f\x8b"
LONGEST_LINE = 8 * 1024 * 1024  # a longer line is one broken row, not a reason to fill the memory
DEEPEST_NESTING = 64  # the same for every Python; where its own recursion ends differs by version
OTHER_FORMATS = {
    b"PK\x03\x04": "a zip archive or a spreadsheet",
    b"\xd0\xcf\x11\xe0": "a spreadsheet",
    b"BZh": "packed with bzip2",
    b"\xfd7zXZ": "packed with xz",
    b"\x28\xb5\x2f\xfd": "packed with zstd",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
JSON_CELLS = ("specs", "prices")
KNOWN_KEYS = frozenset(
    {
        *("sku", "title", "description", "category", "specs", "image", "datasheet", "prices", "mpn", "manufacturer"),
        *("stock", "reorder_point"),
    }
)


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it stands in the file. `line` counts from 1, the header of a CSV included."""

    line: int
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class UnreadableRow:
    """A line that could not be read as a row at all."""

    line: int
    fault: RowRejected


class CatalogueFile:
    """One catalogue file. `position` of `size` bytes tells how far the reading is, compressed or not."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._raw = opened(path)
            self.size = os.fstat(self._raw.fileno()).st_size
        except OSError as fault:
            message = f"{path}: {fault.strerror or fault}"
            raise FileUnreadable(message) from fault

    def close(self) -> None:
        """Let go of the file."""
        self._raw.close()

    @property
    def position(self) -> int:
        """Bytes of the file read so far."""
        return self._raw.tell()

    def digest(self) -> str:
        """SHA-256 of the file as it lies on the disk."""
        self._raw.seek(0)
        return hashlib.file_digest(self._raw, "sha256").hexdigest()

    def rows(self) -> Iterator[Row | UnreadableRow]:
        """Yield every row in order. Raises FileUnreadable when the file ends in the middle or has no usable header."""
        try:
            with self._opened() as stream:
                self._refuse_other_formats(stream.peek(64)[:64])
                yield from _csv_rows(stream, self.path) if self._is_csv(stream) else _json_rows(stream)
        except (EOFError, zlib.error, gzip.BadGzipFile) as fault:
            message = f"{self.path}: the compressed data are damaged or cut off: {fault}"
            raise FileUnreadable(message) from fault

    def _opened(self) -> io.BufferedReader:
        self._raw.seek(0)
        packed = self._raw.read(2) == GZIP_MAGIC
        self._raw.seek(0)
        # Either way the stream is closed after reading; the raw file stays open for `position`.
        stream = gzip.GzipFile(fileobj=self._raw, mode="rb") if packed else io.FileIO(self._raw.fileno(), closefd=False)
        return io.BufferedReader(cast("Any", stream), buffer_size=1 << 16)

    def _refuse_other_formats(self, start: bytes) -> None:
        """Say what the file is, where every line of it would only be said not to be a row."""
        for magic, what in OTHER_FORMATS.items():
            if start.startswith(magic):
                message = f"{self.path}: this is {what}; needed are JSON lines or CSV in UTF-8, plain or gzip"
                raise FileUnreadable(message)
        if re.match(rb"(\xef\xbb\xbf)?\s*\[\s*(\{|\]|$)", start):
            message = (
                f"{self.path}: this is one JSON array; needed is one object on each line (`jq -c '.[]'` makes that)"
            )
            raise FileUnreadable(message)

    def _is_csv(self, stream: io.BufferedReader) -> bool:
        name = self.path.name.lower().removesuffix(".gz")
        if name.endswith((".jsonl", ".ndjson", ".json")):
            return False
        if name.endswith(".csv"):
            return True
        return not stream.peek(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")


def _json_rows(stream: io.BufferedReader) -> Iterator[Row | UnreadableRow]:
    for number, line in enumerate(_lines(stream), start=1):
        if line is None:
            fault = RowRejected("", "TOO_LONG", f"a line of more than {LONGEST_LINE:,} bytes")
            yield UnreadableRow(number, fault)
            continue
        text = line.strip()
        if not text:
            continue
        try:
            yield Row(number, _object(text))
        except RowRejected as fault:
            yield UnreadableRow(number, fault)


def _lines(stream: io.BufferedReader) -> Iterator[bytes | None]:
    """Yield the lines; None for one that is too long to be kept."""
    while line := stream.readline(LONGEST_LINE):
        whole: bytes | None = line
        while not line.endswith(b"\n") and (line := stream.readline(LONGEST_LINE)):
            whole = None
        yield whole


def _object(line: bytes) -> dict[str, Any]:
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise RowRejected("", "NOT_UTF8", "the line is not UTF-8", line[:80].decode("latin-1")) from fault
    value = _json("", "line", text)
    if not isinstance(value, dict):
        raise RowRejected("", "NOT_AN_OBJECT", "the line is JSON but not an object", value)
    if value.keys() <= KNOWN_KEYS:
        return value
    return _distinct([(_known(name), member) for name, member in value.items()])


def _known(name: str) -> str:
    """Return the name of a column or key: `Title` is `title`; a name that is not known stays as it is."""
    folded = name.strip().casefold()
    return folded if folded in KNOWN_KEYS else name


def _json(field: str, what: str, text: str) -> Any:
    try:
        value = json.loads(text, object_pairs_hook=_distinct)
    except RecursionError as fault:
        raise _nested_too_deep(field, what, text) from fault
    except ValueError as fault:
        raise RowRejected(field, "NOT_JSON", f"the {what} is not JSON: {fault}", text[:80]) from fault
    # Most rows have fewer brackets than that, and are spared the walk.
    if text.count("[") + text.count("{") > DEEPEST_NESTING and _is_deeper_than(value, DEEPEST_NESTING):
        raise _nested_too_deep(field, what, text)
    return value


def _nested_too_deep(field: str, what: str, text: str) -> RowRejected:
    message = f"the {what} has lists or objects within each other, more than {DEEPEST_NESTING} deep"
    return RowRejected(field, "NESTED_TOO_DEEP", message, text[:80])


def _is_deeper_than(value: object, deepest: int) -> bool:
    """Walk level by level: what is too deep to be walked by recursion is what this looks for."""
    level = [value]
    for _ in range(deepest):
        level = [inner for outer in level for inner in _members(outer) if isinstance(inner, dict | list)]
    return bool(level)


def _members(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a key that stands twice in one object: keeping the last one would drop the first without a word."""
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise RowRejected(twice, "KEY_TWICE", f"the key {twice!r} stands twice in one object")
    return members


def _csv_rows(stream: io.BufferedReader, path: Path) -> Iterator[Row | UnreadableRow]:
    csv.field_size_limit(LONGEST_LINE)
    text = io.TextIOWrapper(cast("IO[bytes]", stream), encoding="utf-8-sig", errors="surrogateescape", newline="")
    reader = csv.reader(
        _bounded_lines(text, path), strict=True
    )  # without it, a quote that is never closed takes in the rest of the file
    try:
        header = [_known(name.strip()) for name in next(reader, [])]
    except csv.Error:
        header = []
    if "sku" not in header or len(set(header)) != len(header):
        message = f"{path}: a CSV needs a header line with distinct names, `sku` among them"
        raise FileUnreadable(message)
    started = reader.line_num + 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as fault:
            yield UnreadableRow(started, RowRejected("", "NOT_CSV", _not_csv(started, reader.line_num, fault)))
        else:
            if cells:
                yield _csv_row(started, header, cells)
        started = reader.line_num + 1


def _bounded_lines(text: io.TextIOWrapper, path: Path) -> Iterator[str]:
    for number in itertools.count(1):
        line = text.readline(LONGEST_LINE)
        if len(line) == LONGEST_LINE:
            message = f"{path}: line {number} has more than {LONGEST_LINE:,} characters: this is no CSV"
            raise FileUnreadable(message)
        if not line:
            return
        yield line


def _not_csv(first: int, last: int, fault: csv.Error) -> str:
    where = f"lines {first} to {last} are" if last > first else "the line is"
    return f"{where} not CSV: {fault}"


def _csv_row(line: int, header: list[str], cells: list[str]) -> Row | UnreadableRow:
    if len(cells) > len(header):
        message = f"{len(cells)} cells under {len(header)} names"
        return UnreadableRow(line, RowRejected("", "TOO_MANY_CELLS", message, cells[-1]))
    try:
        return Row(line, {name: _cell(name, text) for name, text in zip(header, cells, strict=False)})
    except RowRejected as fault:
        return UnreadableRow(line, fault)


def _cell(name: str, text: str) -> Any:
    """Read one cell: JSON in `specs` and `prices`, JSON or `a > b` in `category`, text elsewhere; empty = no value."""
    if any("\udc80" <= character <= "\udcff" for character in text):
        raise RowRejected(name, "NOT_UTF8", "the cell is not UTF-8", text.encode("utf-8", "replace").decode())
    text = text.strip() if name in {*JSON_CELLS, "category"} else text
    if not text:
        return None
    if name == "prices" and not text.startswith(("[", "{", '"')):
        return text  # one price, which JSON would read with a decimal point whatever the file says
    if name in JSON_CELLS or (name == "category" and text.startswith("[")):
        return _json(name, "cell", text)
    if name == "category":
        return [part.strip() for part in text.split(">")]
    return text
