"""One migrated template database per service, cloned for each test in a few hundredths of a second."""

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from stack.servers.databases import dsn_for
from tests.harness.servers import PASSWORD, TestServers, locked

# The program that migrates each database, and the setting that tells it where.
MIGRATIONS = {
    "inventory": ("inventory_svc", "PARTSTREAM_INVENTORY_DATABASE_URL"),
    "content": ("content_svc", "PARTSTREAM_CONTENT_DATABASE_URL"),
    "edge": ("edge", "PARTSTREAM_EDGE_DATABASE_URL"),
    "audit": ("tasks", "PARTSTREAM_AUDIT_DATABASE_URL"),
}

CREATE = sql.SQL("CREATE DATABASE {name} OWNER {owner} TEMPLATE {template}")
RENAME = sql.SQL("ALTER DATABASE {name} RENAME TO {target}")
DROP = sql.SQL("DROP DATABASE IF EXISTS {name} WITH (FORCE)")

_numbers = itertools.count(1)


class MigrationFailed(Exception):
    """The program's own output is the message."""


def ensure_template(servers: TestServers, service: str, folder: Path) -> str:
    """Return the name of the migrated template, building it if no other worker has."""
    name = f"{service}_template"
    with locked(folder / f"{name}.lock"), psycopg.connect(servers.admin_dsn, autocommit=True) as admin:
        if admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone() is None:
            draft = f"{name}_draft"
            admin.execute(DROP.format(name=sql.Identifier(draft)))
            _create(admin, draft, service, "template0")
            migrate(service, dsn_for(servers.admin_dsn, service, PASSWORD, draft))
            admin.execute(RENAME.format(name=sql.Identifier(draft), target=sql.Identifier(name)))
    return name


@contextmanager
def database(servers: TestServers, service: str, template: str) -> Iterator[str]:
    """Give a database of one test its connection string; drop it afterwards, whoever is still connected."""
    name = f"{service}_test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(servers.admin_dsn, autocommit=True) as admin:
        _create(admin, name, service, template)
    try:
        yield dsn_for(servers.admin_dsn, service, PASSWORD, name)
    finally:
        with psycopg.connect(servers.admin_dsn, autocommit=True) as admin:
            admin.execute(DROP.format(name=sql.Identifier(name)))


def migrate(service: str, dsn: str) -> None:
    """Bring a database to the newest schema, by the same command as an operator would."""
    program, setting = MIGRATIONS[service]
    done = subprocess.run(
        [sys.executable, "-m", program, "migrate"],
        env=os.environ | {setting: dsn},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        message = f"python -m {program} migrate ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        raise MigrationFailed(message)


def _create(admin: psycopg.Connection, name: str, owner: str, template: str) -> None:
    names = {"name": name, "owner": owner, "template": template}
    admin.execute(CREATE.format(**{key: sql.Identifier(value) for key, value in names.items()}))
