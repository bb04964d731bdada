"""Reads a movements file snapshot by snapshot.

CSV, plain or gzip, with the columns ts, sku, delta, level_before, level_after, reason, snapshot. All rows of one
snapshot share one time and stand together; snapshots are in order of time.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import hashlib
import io
import os
import re
import zlib
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from operator import itemgetter
from typing import IO, TYPE_CHECKING, cast

from chassis.timestamps import EARLIEST, TimestampMalformed, TimestampOutOfRange, parse_timestamp
from cli.console.input_file import opened
from cli.replay.errors import MovementsUnreadable, MovementWrong

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COLUMNS = ("ts", "sku", "delta", "level_before", "level_after", "reason", "snapshot")
GZIP_MAGIC = b"\x1f\x8b"
SKU = re.compile(r"[A-Za-z0-9._-]{1,64}")
NUMBER = re.compile(r"-?[0-9]{1,16}")
MOST_UNITS = 9_000_000_000_000_000  # of the contract
SHOWN_WRONG = 10
BEFORE_ALL = EARLIEST


class Reason(StrEnum):
    """What happened to the part between two snapshots."""

    LISTED = "listed"
    RELISTED = "relisted"
    NET_IN = "net_in"
    NET_OUT = "net_out"
    DELISTED = "delisted"


@dataclass(frozen=True, slots=True)
class Movement:
    """One row. Numbers are None where the file is blank."""

    line: int
    sku: str
    reason: Reason
    delta: int | None
    before: int | None
    after: int | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All movements that share a time. `number` counts from 0."""

    number: int
    name: str
    time: datetime
    movements: tuple[Movement, ...]


class MovementsFile:
    """One movements file. `position` of `size` bytes tells how far the reading is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._raw = opened(path)
            self.size = os.fstat(self._raw.fileno()).st_size
        except OSError as fault:
            message = f"{path}: {fault.strerror or fault}"
            raise MovementsUnreadable(message) from fault

    @property
    def position(self) -> int:
        """Bytes of the file read so far."""
        return self._raw.tell()

    def digest(self) -> str:
        """SHA-256 of the file as it lies on the disk."""
        self._raw.seek(0)
        return hashlib.file_digest(self._raw, "sha256").hexdigest()

    def close(self) -> None:
        """Let go of the file."""
        self._raw.close()

    def check(self) -> None:
        """Read the whole file once, so that nothing is played of one that is cut off or has rows that mean nothing.

        Raises MovementsUnreadable with the first of the wrong rows.
        """
        wrong: list[str] = []
        with self._rows() as rows:
            for cells in rows:
                try:
                    rows.time(cells)
                    rows.movement(cells)
                except MovementWrong as fault:
                    wrong.append(str(fault))
        if wrong:
            more = [f"and {len(wrong) - SHOWN_WRONG:,} more"] if len(wrong) > SHOWN_WRONG else []
            lines = "\n  ".join([*wrong[:SHOWN_WRONG], *more])
            message = f"{self.path}: nothing was played, for rows that mean nothing ({len(wrong):,}):\n  {lines}"
            raise MovementsUnreadable(message)

    def snapshots(self) -> Iterator[Snapshot]:
        """Yield the snapshots in order. Raises MovementsUnreadable."""
        with self._rows() as rows:
            for number, ((time, name), group) in enumerate(groupby(rows, key=rows.snapshot_of)):
                yield Snapshot(number, name, time, tuple(map(rows.movement, group)))

    @contextlib.contextmanager
    def _rows(self) -> Iterator[_Rows]:
        rows = None
        try:
            with io.TextIOWrapper(cast("IO[bytes]", self._opened()), encoding="utf-8-sig", newline="") as text:
                rows = _Rows(text)
                yield rows
        except (EOFError, zlib.error, gzip.BadGzipFile, UnicodeDecodeError, csv.Error) as fault:
            where = f" at line {rows.line}" if rows is not None else ""
            message = f"{self.path}: damaged or cut off{where}: {fault}"
            raise MovementsUnreadable(message) from fault
        except MovementWrong as fault:
            message = f"{self.path}: {fault}"
            raise MovementsUnreadable(message) from fault

    def _opened(self) -> io.BufferedIOBase:
        self._raw.seek(0)
        packed = self._raw.read(2) == GZIP_MAGIC
        self._raw.seek(0)
        if packed:
            return gzip.GzipFile(fileobj=self._raw, mode="rb")
        return io.BufferedReader(io.FileIO(self._raw.fileno(), closefd=False))


class _Rows:
    """The rows of one reading, each as its cells, and what they mean. Raises MovementWrong for what means nothing."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._reader = csv.reader(text, strict=True)
        header = next(self._reader, [])
        if not set(COLUMNS) <= set(header):
            message = f"a movements file has the columns {', '.join(COLUMNS)}"
            raise MovementWrong(message)
        self._width = len(header)
        self._cells = itemgetter(*map(header.index, COLUMNS))
        self._latest = BEFORE_ALL
        self._latest_text = ""

    @property
    def line(self) -> int:
        """The line read last, the header included."""
        return self._reader.line_num

    def __iter__(self) -> Iterator[list[str]]:
        return filter(None, self._reader)  # a blank line is no row

    def snapshot_of(self, cells: list[str]) -> tuple[datetime, str]:
        """Return what rows of one snapshot share."""
        return self.time(cells), self._of(cells)[-1]

    def time(self, cells: list[str]) -> datetime:
        """Return the time of a row, which is not before that of the row before. A time without a zone is UTC."""
        text = self._of(cells)[0]
        if text == self._latest_text:
            return self._latest
        try:
            moment = parse_timestamp(text, day_alone=True)
        except TimestampOutOfRange as fault:
            raise MovementWrong(f"line {self.line}: {text!r} {fault}") from fault
        except TimestampMalformed as fault:
            raise MovementWrong(f"line {self.line}: {text!r} is no time") from fault
        if moment < self._latest:
            raise MovementWrong(f"line {self.line} is earlier than the line before")
        self._latest, self._latest_text = moment, text
        return moment

    def movement(self, cells: list[str]) -> Movement:
        """Return the movement of a row."""
        _, sku, delta, before, after, reason, _ = self._of(cells)
        try:
            movement = Movement(
                line=self.line,
                sku=sku,
                reason=Reason(reason),
                delta=_number(delta, lowest=-MOST_UNITS),
                before=_number(before, lowest=0),
                after=_number(after, lowest=0),
            )
        except ValueError as fault:
            raise MovementWrong(f"line {self.line}: {fault}") from fault
        if not SKU.fullmatch(sku):
            raise MovementWrong(f"line {self.line}: {sku!r} is no sku: 1-64 of A-Z a-z 0-9 . _ -")
        adjusts = movement.reason in {Reason.NET_IN, Reason.NET_OUT}
        if adjusts and (movement.delta is None or movement.before is None):
            raise MovementWrong(f"line {self.line}: {movement.reason} needs a delta and a level before")
        return movement

    def _of(self, cells: list[str]) -> tuple[str, ...]:
        if len(cells) != self._width:
            raise MovementWrong(f"line {self.line} has {len(cells)} cells, and the header has {self._width}")
        picked: tuple[str, ...] = self._cells(cells)
        return picked


def _number(text: str, *, lowest: int) -> int | None:
    if not text:
        return None
    if not NUMBER.fullmatch(text) or not lowest <= int(text) <= MOST_UNITS:
        message = f"{text!r} is no whole number from {lowest} to {MOST_UNITS}"
        raise ValueError(message)
    return int(text)


@dataclass(slots=True)
class FinalLevels:
    """What the file says that every level is in the end: the last `level_after` of a part, and whether it is listed."""

    levels: dict[str, int] = field(default_factory=dict)
    delisted: set[str] = field(default_factory=set)
    without_number: set[str] = field(default_factory=set)

    def take(self, snapshot: Snapshot) -> None:
        """Take in one snapshot."""
        for movement in snapshot.movements:
            if movement.after is not None:
                self.levels[movement.sku] = movement.after
            if movement.reason is Reason.DELISTED:
                self.delisted.add(movement.sku)
            else:
                self.delisted.discard(movement.sku)
            if movement.sku in self.levels:
                self.without_number.discard(movement.sku)
            else:
                self.without_number.add(movement.sku)
