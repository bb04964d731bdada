"""A movements file in the format of `./partstream replay`, made up from a seed."""

import csv
import gzip
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

COLUMNS = ("ts", "sku", "delta", "level_before", "level_after", "reason", "snapshot")
FIRST = datetime(2026, 1, 1, 4, tzinfo=UTC)
DELISTED_SHARE = 0.02
RELISTED_SHARE = 0.3
BLANK_SHARE = 0.02


class _Part:
    def __init__(self, sku: str, chance: random.Random) -> None:
        self.sku = sku
        self.level: int | None = None if chance.random() < BLANK_SHARE else chance.randrange(10_000)
        self.listed = True

    def next_row(self, chance: random.Random) -> dict[str, object] | None:
        if self.level is None:
            return None
        if not self.listed:
            return self._relisted(chance) if chance.random() < RELISTED_SHARE else None
        if chance.random() < DELISTED_SHARE:
            self.listed = False
            return {"sku": self.sku, "level_before": self.level, "reason": "delisted"}
        return self._moved(chance)

    def _relisted(self, chance: random.Random) -> dict[str, object]:
        self.listed, self.level = True, chance.randrange(10_000)
        return {"sku": self.sku, "level_after": self.level, "reason": "relisted"}

    def _moved(self, chance: random.Random) -> dict[str, object] | None:
        assert self.level is not None
        before, delta = self.level, max(-self.level, chance.randrange(-50, 30))
        if not delta:
            return None
        self.level += delta
        reason = "net_in" if delta > 0 else "net_out"
        return {"sku": self.sku, "delta": delta, "level_before": before, "level_after": self.level, "reason": reason}


def write_movements(path: Path, prefix: str, *, parts: int, snapshots: int, seed: int = 1) -> list[str]:
    """Write a file whose parts are called `prefix` and a number; return their names."""
    chance = random.Random(seed)
    all_parts = [_Part(f"{prefix}{number}", chance) for number in range(parts)]
    with gzip.open(path, "wt", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        for number in range(snapshots):
            shared = {"ts": (FIRST + timedelta(days=number)).strftime("%Y-%m-%dT%H:%M:%SZ"), "snapshot": f"s{number}"}
            for part in all_parts:
                row = part.next_row(chance) if number else _listed(part)
                if row is not None:
                    writer.writerow({**shared, **row})
    return [part.sku for part in all_parts]


def _listed(part: _Part) -> dict[str, object]:
    return {"sku": part.sku, "level_after": "" if part.level is None else part.level, "reason": "listed"}
