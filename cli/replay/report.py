"""What a replay did, as numbers, and which rows the service refused."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from rich.table import Table

if TYPE_CHECKING:
    from pathlib import Path

    from chassis.errors import PartstreamError
    from cli.replay.comparison import Comparison
    from cli.replay.movements import Movement

SHOWN_MISMATCHES = 20


@dataclass(slots=True)
class ReplayReport:
    """Counts of one run, over all starts of it: sets, adjustments, archives, skipped, refused."""

    refusals: Path
    counts: Counter[str] = field(default_factory=Counter)
    seconds_before: float = 0.0
    _file: IO[str] | None = None

    @property
    def refusals_size(self) -> int:
        """Bytes of refused rows written so far, for a run that is taken up again."""
        return self._file.tell() if self._file is not None else 0

    def begin(self, refusals_size: int) -> None:
        """Keep so much of what an earlier start of this run wrote down, and nothing of another run."""
        if not refusals_size:
            self.refusals.unlink(missing_ok=True)
            return
        self.refusals.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.refusals.open("a", encoding="utf-8")
        self._file.truncate(min(refusals_size, self._file.tell()))

    def refuse(self, movement: Movement, reason: str, message: str) -> None:
        """Count a refused row and write it down."""
        self.counts["refused"] += 1
        if self._file is None:
            self.refusals.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.refusals.open("a", encoding="utf-8")
        line = {"line": movement.line, "sku": movement.sku, "reason": reason, "message": message}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def refuse_for(self, movement: Movement, refusal: PartstreamError) -> None:
        """Count a row that the service refused with an error."""
        self.refuse(movement, refusal.reason, refusal.message)

    def close(self) -> None:
        """Finish the file of refusals."""
        if self._file is not None:
            self._file.close()

    @property
    def changes(self) -> int:
        """Rows that the service accepted."""
        return self.counts["sets"] + self.counts["adjustments"] + self.counts["archives"]

    def as_json(self, seconds: float, repeats: int, comparison: Comparison) -> dict[str, Any]:
        """Return the run and the comparison as one JSON object."""
        return {
            **{
                name: self.counts[name]
                for name in ("rows", "snapshots", "sets", "adjustments", "archives", "skipped", "refused")
            },
            "changes": self.changes,
            "seconds": round(seconds, 3),
            "changes_per_second": round(self.changes / seconds, 1) if seconds else 0.0,
            "calls_repeated": repeats,
            "levels_compared": comparison.compared,
            "levels_equal": comparison.equal,
            "parts_without_number": comparison.without_number,
            "mismatches": [mismatch.as_json() for mismatch in comparison.mismatches],
        }

    def table(self, summary: dict[str, Any]) -> Table:
        """Return the summary for a terminal."""
        table = Table(title="Replay", title_justify="left")
        table.add_column("what")
        table.add_column("number", justify="right")
        for name, value in summary.items():
            if name != "mismatches":
                table.add_row(name.replace("_", " "), f"{value:,}")
        table.add_row("mismatches", f"{len(summary['mismatches']):,}")
        return table
