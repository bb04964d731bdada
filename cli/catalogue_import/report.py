"""What an import did: counts, rejects and notes, kept while it runs and shown when it ends."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from typing import IO, TYPE_CHECKING, Any

from rich.table import Table

from chassis.logs import visible, visible_json
from cli.catalogue_import.errors import RowRejected, shown
from cli.catalogue_import.treatments import MEANINGS, Notes, Tally, Treatment

if TYPE_CHECKING:
    from pathlib import Path


class JsonLines:
    """A file of JSON lines that comes into being with its first line."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._file: IO[str] | None = None
        if path is not None:
            path.unlink(missing_ok=True)  # what an earlier run left would be taken for this one's

    def write(self, **members: Any) -> None:
        """Append one line; without a path nothing is kept."""
        if self.path is None:
            return
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Half a surrogate pair cannot be UTF-8; as `\ud800` it is what JSON writes for it.
            self._file = self.path.open("w", encoding="utf-8", errors="backslashreplace")
        self._file.write(_as_json(members) + "\n")

    def close(self) -> None:
        """Finish the file."""
        if self._file is not None:
            self._file.close()


def _as_json(members: dict[str, Any]) -> str:
    """Return strict JSON; a value that JSON has no word for, such as NaN, or that is nested too deep, as text."""
    try:
        document = json.dumps(members, ensure_ascii=False, allow_nan=False)
    except (ValueError, RecursionError):
        document = json.dumps({name: shown(value) for name, value in members.items()}, ensure_ascii=False)
    return visible_json(document)


class SeenSkus:
    """The SKUs met so far, in a temporary database on disk: ten million of them do not fill the memory."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute("CREATE TABLE seen (sku TEXT PRIMARY KEY, line INTEGER) WITHOUT ROWID")
        self._database.execute("BEGIN")

    def add(self, sku: str, line: int) -> int | None:
        """Remember a SKU; return the line where it stood before, if it did."""
        added = self._database.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (sku, line)).rowcount
        if added:
            return None
        earlier: tuple[int] = self._database.execute("SELECT line FROM seen WHERE sku = ?", (sku,)).fetchone()
        return earlier[0]

    def close(self) -> None:
        """Drop the database."""
        self._database.close()


class Report:
    """Counts of one import. `counts` holds parts_*, levels_* and categories_created by name."""

    def __init__(self, rejects: Path, notes: Path | None) -> None:
        self.counts: Counter[str] = Counter()
        self.tally = Tally()
        self.rejects = JsonLines(rejects)
        self._notes = JsonLines(notes)
        # Of parts that exist: how often each field would change or be cleared. None when nothing was compared.
        self.existing: dict[str, Counter[str]] | None = None

    @property
    def rejected(self) -> int:
        """Rows or stock numbers that were refused."""
        return self.counts["rejected"]

    def reject(self, line: int, sku: str, fault: RowRejected) -> None:
        """Write a reject and count it."""
        self.counts["rejected"] += 1
        self.rejects.write(
            line=line, sku=sku, field=fault.field, reason=fault.reason, message=fault.message, value=fault.value
        )

    def note(self, line: int, sku: str, notes: Notes) -> None:
        """Count what was put right in a row and write it down."""
        self.tally.count(notes)
        for note in notes:
            self._notes.write(line=line, sku=sku, field=note.field, treatment=note.treatment, before=note.before)

    def note_change(self, field: str, *, is_cleared: bool) -> None:
        """Count a field of a part that exists which would be given another value, or none."""
        self.existing = self.existing or {}
        change = "cleared" if is_cleared else "changed"
        self.existing.setdefault(field, Counter(changed=0, cleared=0))[change] += 1
        self.counts["fields_would_be_cleared" if is_cleared else "fields_would_change"] += 1

    def close(self) -> None:
        """Finish both files."""
        self.rejects.close()
        self._notes.close()

    def as_json(self, seconds: float) -> dict[str, Any]:
        """Return everything as one JSON object."""
        return {
            "seconds": round(seconds, 3),
            "rows_per_second": round(self.counts["rows"] / seconds, 1) if seconds else 0.0,
            "counts": dict(sorted(self.counts.items())),
            "treatments": {
                treatment.value: {"rows": self.tally.rows[treatment], "values": self.tally.values[treatment]}
                for treatment in Treatment
                if self.tally.rows[treatment]
            },
            "keys_not_imported": dict(self.tally.keys_not_imported),
            "existing_fields": None if self.existing is None else {name: dict(n) for name, n in self.existing.items()},
            "rejects_file": str(self.rejects.path) if self.rejected else None,
        }

    def so_far(self) -> str:
        """Say what was done, for an import that ends before its file does."""
        done = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in sorted(self.counts.items()))
        rejected = f" {self.rejected_where()}" if self.rejected else ""
        return f"Done before it ended: {done or 'nothing'}.{rejected}"

    def rejected_where(self) -> str:
        """Say how many were rejected and where to read why."""
        return f"{self.rejected:,} rejected; each with its line and reason in {self.rejects.path}"

    def tables(self) -> list[Table]:
        """Return the summary as tables for a terminal."""
        outcome = Table(title="Outcome", title_justify="left")
        outcome.add_column("outcome")
        outcome.add_column("count", justify="right")
        for name, count in sorted(self.counts.items()):
            outcome.add_row(name.replace("_", " "), f"{count:,}")
        treated = Table(title="Corrected values", title_justify="left")
        for heading in ("treatment", "what was done"):
            treated.add_column(heading)
        for heading in ("rows", "values"):
            treated.add_column(heading, justify="right")
        for treatment in Treatment:
            if self.tally.rows[treatment]:
                treated.add_row(treatment.value, self._meaning(treatment), *self._numbers(treatment))
        return [outcome, *self._changes(), treated]

    def _changes(self) -> list[Table]:
        if not self.existing:
            return []
        changes = Table(title="Fields of parts that exist", title_justify="left")
        changes.add_column("field")
        for heading in ("would change", "would be cleared"):
            changes.add_column(heading, justify="right")
        for name, count in sorted(self.existing.items()):
            changes.add_row(name, f"{count['changed']:,}", f"{count['cleared']:,}")
        return [changes]

    def _meaning(self, treatment: Treatment) -> str:
        if treatment is Treatment.KEY_NOT_IMPORTED:
            return visible(f"{MEANINGS[treatment]}: {', '.join(sorted(self.tally.keys_not_imported))}")
        return MEANINGS[treatment]

    def _numbers(self, treatment: Treatment) -> tuple[str, str]:
        return f"{self.tally.rows[treatment]:,}", f"{self.tally.values[treatment]:,}"
