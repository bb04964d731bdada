"""Piccolo's own commands, as an operator or a developer runs them, against a real database."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from piccolo.columns import Column

from stack.checkout import ROOT

PICCOLO = str(Path(sys.executable).parent / "piccolo")
MIGRATIONS = {"inventory": "inventory_svc", "content": "content_svc", "edge": "edge", "audit": "tasks"}
COLUMNS = """
SELECT column_name, upper(udt_name) || CASE is_nullable WHEN 'NO' THEN ' NOT NULL' ELSE '' END
FROM information_schema.columns WHERE table_schema = 'public' AND table_name = %s
"""
# Names of types that PostgreSQL's catalogue shortens.
POSTGRES_NAMES = {"BIGINT": "INT8", "INTEGER": "INT4", "SMALLINT": "INT2", "BOOLEAN": "BOOL"} | {
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ"
}
APPS = {"inventory": "inventory_svc", "content": "content", "edge": "edge", "audit": "tasks"}


def piccolo(database: str, dsn: str, *arguments: str) -> str:
    """Run a command of Piccolo and return its output."""
    environment = {
        "PARTSTREAM_PICCOLO_DATABASE": database,
        f"PARTSTREAM_{database.upper()}_DATABASE_URL": dsn,
    }
    done = subprocess.run(
        [PICCOLO, *arguments], cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def applied(database: str, dsn: str) -> list[str]:
    """Return the last column of ``migrations check``, whether each migration is applied."""
    lines = piccolo(database, dsn, "migrations", "check").splitlines()
    return [line.rpartition("| ")[2] for line in lines if line.startswith(APPS[database])]


@pytest.mark.parametrize("database", sorted(APPS))
def test_check_and_forwards_work_on_an_empty_database(database: str, empty_dsn: str) -> None:
    count = len(list((ROOT / MIGRATIONS[database] / "migrations").glob("p*_*.py")))

    assert applied(database, empty_dsn) == ["False"] * count
    piccolo(database, empty_dsn, "migrations", "forwards", APPS[database])
    assert applied(database, empty_dsn) == ["True"] * count


@pytest.mark.parametrize("database", sorted(APPS))
def test_tables_are_declared_as_they_are_migrated(database: str, request: pytest.FixtureRequest) -> None:
    app = importlib.import_module(f"{MIGRATIONS[database]}.piccolo_app").APP_CONFIG
    with psycopg.connect(request.getfixturevalue(f"{database}_dsn")) as connection:
        for table in app.table_classes:
            migrated: dict[str, str] = dict(connection.execute(COLUMNS, [table._meta.tablename]).fetchall())

            declared = {column._meta.name: _type_of(column) for column in table._meta.columns}
            assert declared.items() <= migrated.items()


def _type_of(column: Column) -> str:
    name = column.column_type.upper()
    null = "" if column._meta.null else " NOT NULL"
    return ("_TEXT" if name == "TEXT[]" else POSTGRES_NAMES.get(name, name)) + null


def test_importing_the_configuration_does_not_connect() -> None:
    environment = {
        "PARTSTREAM_PICCOLO_DATABASE": "edge",
        "PARTSTREAM_EDGE_DATABASE_URL": "postgresql://edge:wrong@127.0.0.1:1/edge",
    }

    done = subprocess.run(
        [sys.executable, "-c", "import piccolo_conf; print(piccolo_conf.APP_REGISTRY.app_configs['edge'].app_name)"],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )

    assert (done.stdout.strip(), done.stderr) == ("edge", "")


def test_a_query_of_the_shell_runs_on_the_database_of_the_setting(edge_dsn: str) -> None:
    environment = {"PARTSTREAM_PICCOLO_DATABASE": "edge", "PARTSTREAM_EDGE_DATABASE_URL": edge_dsn}
    statements = "from edge.identity.tables import User\nprint('users:', await User.count())\n"

    done = subprocess.run(
        [sys.executable, "-m", "asyncio"],
        input=statements,
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )

    assert "users: 0" in done.stdout
