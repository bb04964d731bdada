"""A migration runs backwards where that is safe, and stops with an error where it is not."""

from __future__ import annotations

import subprocess
import sys

import psycopg

from stack.checkout import ROOT
from tests.harness.templates import migrate

# Piccolo keeps the first engine of a process.
PROGRAM = """
import asyncio, sys
from piccolo.apps.migrations.commands.backwards import run_backwards
from chassis.migrate import migrate

async def run(dsn, package):
    await migrate(dsn, [f"{package}.piccolo_app"])
    await run_backwards(package, auto_agree=True)

asyncio.run(run(*sys.argv[1:]))
"""
FACTS = "SELECT count(*), to_regclass('alert') IS NOT NULL FROM migration"


def backwards(dsn: str, package: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, dsn, package]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def facts(dsn: str) -> object:
    """Return how many migrations have run, and whether the last one of the edge has."""
    with psycopg.connect(dsn) as connection:
        return connection.execute(FACTS).fetchone()


def test_a_safe_one_runs_backwards_and_forwards_again(edge_dsn: str) -> None:
    done = backwards(edge_dsn, "edge")
    reversed_to = facts(edge_dsn)
    migrate("edge", edge_dsn)

    assert done.returncode == 0, done.stderr
    assert (reversed_to, facts(edge_dsn)) == ((4, False), (5, True))


def test_one_that_would_lose_rows_does_not(audit_dsn: str) -> None:
    done = backwards(audit_dsn, "tasks")

    assert done.returncode != 0
    assert "MigrationIrreversible: There is no pre_0002_log_endings.down.sql" in done.stderr
    assert facts(audit_dsn) == (2, False)
