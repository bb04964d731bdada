"""The schema that is written down for reading is the one that the migrations create."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql

from tests.harness.templates import database, ensure_template
from tests.migrations.catalogue import PACKAGES, catalogue, folder, run_file

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness.servers import TestServers

TABLES = """
SELECT c.relname FROM pg_class AS c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname <> 'migration' ORDER BY 1
"""
COUNT = sql.SQL("SELECT count(*) FROM {}")


def rows(dsn: str) -> dict[str, int]:
    """Return the number of rows in each table."""
    with psycopg.connect(dsn) as connection:
        names = [str(name) for (name,) in connection.execute(TABLES)]
        counts = [connection.execute(COUNT.format(sql.Identifier(name))).fetchone() for name in names]
    return {name: count[0] for name, count in zip(names, counts, strict=True) if count is not None}


@pytest.mark.parametrize("service", PACKAGES)
def test_schema_and_migrations_give_the_same_database(servers: TestServers, run_folder: Path, service: str) -> None:
    template = ensure_template(servers, service, run_folder)
    with database(servers, service, template) as migrated, database(servers, service, "template0") as written:
        run_file(written, folder(service) / "schema.sql")

        assert catalogue(written) == catalogue(migrated)
        assert rows(written) == rows(migrated)
