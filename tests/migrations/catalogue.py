"""The catalogue of a database as text, and the files that create one."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

from stack.checkout import ROOT
from stack.servers.programs import postgres_program

if TYPE_CHECKING:
    from pathlib import Path

# The package whose migrations create each database.
PACKAGES = {"inventory": "inventory_svc", "content": "content_svc", "edge": "edge", "audit": "tasks"}

# Piccolo's own table, which the schemas leave out.
_OF_PICCOLO = ("--exclude-table=migration", "--exclude-table=migration_id_seq")
# `pg_dump` puts a random word into each dump, and PostgreSQL names NOT NULL from 18 on, by the history of a column.
_MEANINGLESS = re.compile(r"^\\(?:un)?restrict .*\n|CONSTRAINT \w+_not_null (?=NOT NULL)", re.MULTILINE)


def folder(service: str) -> Path:
    """Return the folder with the migrations of a database."""
    return ROOT / PACKAGES[service] / "migrations"


def run_file(dsn: str, file: Path) -> None:
    """Run a file of SQL with psql, in one transaction."""
    psql = postgres_program("psql")
    command = [psql, dsn, "--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1", f"--file={file}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def catalogue(dsn: str, *options: str) -> list[str]:
    """Return the lines of a dump of the schema: tables, constraints, indexes, functions, triggers, grants, comments."""
    command = [postgres_program("pg_dump"), dsn, "--schema-only", *_OF_PICCOLO, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return _MEANINGLESS.sub("", done.stdout).splitlines()
