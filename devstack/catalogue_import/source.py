"""Reads a catalogue file row by row: JSON lines or CSV, plain or gzip, in memory that does not grow with the file."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from devstack.catalogue_import.errors import FileUnreadable, RowRejected

if TYPE_CHECKING:
    from collections.abc import Iterator

GZIP_MAGIC = b"\x1f\x8b"
LONGEST_LINE = 8 * 1024 * 1024  # a longer line is one broken row, not a reason to fill the memory
JSON_CELLS = ("specs", "prices")


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
            self.size = path.stat().st_size
            self._raw = path.open("rb", buffering=0)  # its place in the file is the place of what was read
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

    def _is_csv(self, stream: io.BufferedReader) -> bool:
        name = self.path.name.lower().removesuffix(".gz")
        if name.endswith((".jsonl", ".ndjson", ".json")):
            return False
        if name.endswith(".csv"):
            return True
        return not stream.peek(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")


def _json_rows(stream: io.BufferedReader) -> Iterator[Row | UnreadableRow]:
    for number, line in enumerate(_lines(stream), start=1):
        text = line.strip()
        if not text:
            continue
        try:
            yield Row(number, _object(text))
        except RowRejected as fault:
            yield UnreadableRow(number, fault)


def _lines(stream: io.BufferedReader) -> Iterator[bytes]:
    while line := stream.readline(LONGEST_LINE):
        whole = line
        while not line.endswith(b"\n") and (line := stream.readline(LONGEST_LINE)):
            whole = b"too long"  # not JSON, so the row is rejected under its own number
        yield whole


def _object(text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text.decode("utf-8-sig"), object_pairs_hook=_distinct)
    except UnicodeDecodeError as fault:
        raise RowRejected("", "NOT_UTF8", "the line is not UTF-8", text[:80].decode("latin-1")) from fault
    except (ValueError, RecursionError) as fault:
        raise RowRejected("", "NOT_JSON", f"the line is not JSON: {fault}", text[:80].decode("latin-1")) from fault
    if not isinstance(value, dict):
        raise RowRejected("", "NOT_AN_OBJECT", "the line is JSON but not an object", value)
    return value


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
    reader = csv.reader(text)
    header = [name.strip() for name in next(reader, [])]
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
            yield UnreadableRow(started, RowRejected("", "NOT_CSV", f"the line is not CSV: {fault}"))
        else:
            if cells:
                yield _csv_row(started, header, cells)
        started = reader.line_num + 1


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
    if name in JSON_CELLS or (name == "category" and text.startswith("[")):
        try:
            return json.loads(text, object_pairs_hook=_distinct)
        except (ValueError, RecursionError) as fault:
            raise RowRejected(name, "NOT_JSON", f"the cell is not JSON: {fault}", text) from fault
    if name == "category":
        return [part.strip() for part in text.split(">")]
    return text
