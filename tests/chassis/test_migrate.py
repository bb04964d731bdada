"""What a migration says of itself."""

import os
import subprocess
import sys

import psycopg


def migrated(dsn: str) -> tuple[int, str]:
    """Migrate the content database as an operator would; return the exit code and everything written."""
    done = subprocess.run(
        [sys.executable, "-m", "content_svc", "migrate"],
        env=os.environ | {"PARTSTREAM_CONTENT_DATABASE_URL": dsn},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_a_migration_is_one_line(empty_dsn: str) -> None:
    """The framework's own lines were the first that anyone saw of a new stack."""
    code, said = migrated(empty_dsn)

    assert (code, len(said.splitlines())) == (0, 1), said
    assert "database migrated app=content" in said


def test_one_that_fails_says_where(empty_dsn: str) -> None:
    with psycopg.connect(empty_dsn) as connection:
        connection.execute("CREATE TABLE part ()")

    code, said = migrated(empty_dsn)

    assert code != 0
    assert "2026-11-22T12:00:00:000000" in said
    assert 'relation "part" already exists' in said
