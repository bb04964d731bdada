"""A migration on a full disk prints one line, and continues where it stopped when there is space again."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql

from stack.servers.databases import dsn_for
from tests.chaos.stream.own_postgres import OwnPostgres
from tests.harness.servers import PASSWORD
from tests.harness.small_disk import NoSmallDiskError, SmallDisk, small_disk
from tests.harness.templates import MIGRATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.harness.servers import TestServers

CREATE = sql.SQL("CREATE DATABASE {name} OWNER {owner} TEMPLATE template0 TABLESPACE {tablespace}")
DROP = sql.SQL("DROP DATABASE {name} WITH (FORCE)")


def migrate(service: str, dsn: str) -> subprocess.CompletedProcess[str]:
    program, setting = MIGRATIONS[service]
    command = [sys.executable, "-m", program, "migrate"]
    return subprocess.run(command, env=os.environ | {setting: dsn}, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def servers() -> Iterator[TestServers]:
    """A separate PostgreSQL: its checkpoints fail on a full disk, and would fail other tests."""
    with tempfile.TemporaryDirectory(prefix="partstream-full-disk-", ignore_cleanup_errors=True) as folder:
        postgres = OwnPostgres(Path(folder) / "postgres")
        postgres.start()
        yield postgres.servers
        postgres.stop()


@pytest.fixture
def disk(servers: TestServers) -> Iterator[SmallDisk]:
    try:
        with small_disk(servers.admin_dsn, 40) as made:
            yield made
    except NoSmallDiskError:
        pytest.skip("a small file system cannot be mounted by this user")


@pytest.mark.parametrize("leave", [0, 300_000], ids=["no session begins", "a migration fails"])
@pytest.mark.parametrize("service", ["inventory", "content", "edge", "audit"])
def test_a_full_disk_prints_one_line(servers: TestServers, service: str, leave: int, disk: SmallDisk) -> None:
    with psycopg.connect(servers.admin_dsn, autocommit=True) as admin:
        name = sql.Identifier(disk.tablespace)
        admin.execute(CREATE.format(name=name, owner=sql.Identifier(service), tablespace=name))
        try:
            disk.fill(leave=leave)
            dsn = dsn_for(servers.admin_dsn, service, PASSWORD, disk.tablespace)
            failed = migrate(service, dsn)
            disk.clear()
            done = migrate(service, dsn)
        finally:
            admin.execute(DROP.format(name=name))

    assert failed.returncode == 1
    (line,) = (failed.stderr + failed.stdout).strip().splitlines()
    assert "The database has no space left." in line
    assert done.returncode == 0, done.stderr
