"""The output of `migrate`."""

import os
import subprocess
import sys

import psycopg


def migrated(dsn: str) -> tuple[int, str]:
    """Migrate the content database by its command; return the exit code and the output."""
    done = subprocess.run(
        [sys.executable, "-m", "content_svc", "migrate"],
        env=os.environ | {"PARTSTREAM_CONTENT_DATABASE_URL": dsn},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_a_migration_prints_one_line(empty_dsn: str) -> None:
    """Piccolo's own lines are left out."""
    code, output = migrated(empty_dsn)

    assert (code, len(output.splitlines())) == (0, 1), output
    assert "database migrated app=content" in output


def test_a_failure_names_the_migration(empty_dsn: str) -> None:
    with psycopg.connect(empty_dsn) as connection:
        connection.execute("CREATE TABLE part ()")

    code, output = migrated(empty_dsn)

    assert code != 0
    assert "2026-11-22T12:00:00:000000" in output
    assert 'relation "part" already exists' in output
