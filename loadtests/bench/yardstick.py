"""The yardstick: ``pgbench`` doing an UPDATE of a level and an INSERT of a log row per transaction."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psycopg

from stack.servers.postgres import binaries

ROWS = 10_000

# A level and its log as a plain table each: what the cheapest honest implementation would write.
TABLES = f"""
CREATE TABLE yardstick_level (id int PRIMARY KEY, on_hand bigint NOT NULL, version bigint NOT NULL,
                              updated_at timestamptz NOT NULL);
CREATE TABLE yardstick_log (id bigserial PRIMARY KEY, level_id int NOT NULL, delta bigint NOT NULL,
                            at timestamptz NOT NULL);
INSERT INTO yardstick_level SELECT n, 1000000000, 1, now() FROM generate_series(1, {ROWS}) n;
"""  # noqa: S608 - a constant of this file

# One transaction of the yardstick.
SCRIPT = r"""
\set id random(1, :rows)
BEGIN;
UPDATE yardstick_level SET on_hand = on_hand - 1, version = version + 1, updated_at = now() WHERE id = :id;
INSERT INTO yardstick_log (level_id, delta, at) VALUES (:id, -1, now());
COMMIT;
"""


@dataclass(frozen=True)
class Yardstick:
    """Transactions a second, and the mean time of one in milliseconds."""

    per_second: float
    latency_ms: float


def prepare(dsn: str, folder: Path) -> Path:
    """Make the yardstick's tables and its script; returns the script."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(TABLES.encode())
        connection.execute("VACUUM ANALYZE yardstick_level")
    script = folder / "yardstick.sql"
    script.write_text(SCRIPT)
    return script


def run(dsn: str, script: Path, *, clients: int, rows: int, seconds: int) -> Yardstick:
    """Measure with prepared statements; ``rows=1`` is the hot row."""
    command = [str(binaries() / "pgbench"), "-n", "-M", "prepared", "-f", str(script), "-D", f"rows={rows}"]
    command += ["-c", str(clients), "-j", str(min(2, clients)), "-T", str(seconds), dsn]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return Yardstick(_number(r"tps = ([\d.]+)", done.stdout), _number(r"latency average = ([\d.]+)", done.stdout))


def _number(pattern: str, output: str) -> float:
    found = re.search(pattern, output)
    if found is None:
        message = f"pgbench did not say {pattern!r}:\n{output}"
        raise ValueError(message)
    return float(found.group(1))
