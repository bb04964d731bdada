"""Reads a movements file snapshot by snapshot.

CSV, plain or gzip, with the columns ts, sku, delta, level_before, level_after, reason, snapshot. All rows of one
snapshot share one time and stand together; snapshots are in order of time.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import zlib
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from typing import IO, TYPE_CHECKING, cast

from devstack.replay.errors import MovementsUnreadable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COLUMNS = ("ts", "sku", "delta", "level_before", "level_after", "reason", "snapshot")
GZIP_MAGIC = b"\x1f\x8b"


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
            self.size = path.stat().st_size
            self._raw = path.open("rb", buffering=0)  # its place in the file is the place of what was read
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

    def snapshots(self) -> Iterator[Snapshot]:
        """Yield the snapshots in order. Raises MovementsUnreadable."""
        try:
            with io.TextIOWrapper(cast("IO[bytes]", self._opened()), encoding="utf-8-sig", newline="") as text:
                yield from self._snapshots(text)
        except (EOFError, zlib.error, gzip.BadGzipFile, UnicodeDecodeError, csv.Error) as fault:
            message = f"{self.path}: damaged or cut off: {fault}"
            raise MovementsUnreadable(message) from fault

    def _opened(self) -> io.BufferedIOBase:
        self._raw.seek(0)
        packed = self._raw.read(2) == GZIP_MAGIC
        self._raw.seek(0)
        if packed:
            return gzip.GzipFile(fileobj=self._raw, mode="rb")
        return io.BufferedReader(io.FileIO(self._raw.fileno(), closefd=False))

    def _snapshots(self, text: io.TextIOWrapper) -> Iterator[Snapshot]:
        reader = csv.DictReader(text)
        if not set(COLUMNS) <= set(reader.fieldnames or ()):
            message = f"{self.path}: a movements file has the columns {', '.join(COLUMNS)}"
            raise MovementsUnreadable(message)
        latest = None
        grouped = groupby(reader, key=lambda row: (row["ts"], row["snapshot"]))
        for number, ((time, name), rows) in enumerate(grouped):
            movements = tuple(self._movement(reader.line_num, row) for row in rows)
            moment = self._time(time, movements[0].line)
            if latest is not None and moment < latest:
                message = f"{self.path}: line {movements[0].line} is earlier than the line before"
                raise MovementsUnreadable(message)
            latest = moment
            yield Snapshot(number, name, moment, movements)

    def _movement(self, line: int, row: dict[str, str]) -> Movement:
        try:
            movement = Movement(
                line=line,
                sku=row["sku"],
                reason=Reason(row["reason"]),
                delta=_number(row["delta"]),
                before=_number(row["level_before"]),
                after=_number(row["level_after"]),
            )
        except (ValueError, TypeError) as fault:
            message = f"{self.path}: line {line}: {fault}"
            raise MovementsUnreadable(message) from fault
        if not movement.sku:
            message = f"{self.path}: line {line}: no sku"
            raise MovementsUnreadable(message)
        adjusts = movement.reason in {Reason.NET_IN, Reason.NET_OUT}
        if adjusts and (movement.delta is None or movement.before is None):
            message = f"{self.path}: line {line}: {movement.reason} needs a delta and a level before"
            raise MovementsUnreadable(message)
        return movement

    def _time(self, text: str, line: int) -> datetime:
        try:
            return datetime.fromisoformat(text)
        except ValueError as fault:
            message = f"{self.path}: line {line}: {text!r} is no time"
            raise MovementsUnreadable(message) from fault


def _number(text: str) -> int | None:
    return int(text) if text else None


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
