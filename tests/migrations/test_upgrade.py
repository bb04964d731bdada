"""A database of release 0.1.0 becomes one of this release, with the rows that it had.

`dumps/` holds what `pg_dump` of PostgreSQL 16 wrote of databases that release 0.1.0 had migrated, with rows written by
raw SQL and by the service's own functions. They are never made again: a later release must still read them.
"""

from __future__ import annotations

import gzip
import hashlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import psycopg
import pytest

from changelog.integrity import verify_chain
from tests.harness.templates import database, ensure_template, migrate
from tests.migrations.catalogue import PACKAGES, catalogue, run_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.harness.servers import TestServers

DUMPS = Path(__file__).with_name("dumps")

# The months of the audit trail depend on the day that it was created.
MONTHS = ("--exclude-table=data_change_20*",)
UNGUARDED_MONTHS = """
SELECT count(*) FROM pg_inherits AS i
WHERE i.inhparent = 'data_change'::regclass AND NOT EXISTS (
    SELECT FROM pg_trigger AS t WHERE t.tgrelid = i.inhrelid AND t.tgname = 'data_change_is_append_only')
"""
HEAD = "SELECT count(*), max(revision), (array_agg(encode(hash, 'hex') ORDER BY revision DESC))[1] FROM change_log"
DIFFERENCES = "SELECT count(*) FROM change_log_rows_that_differ()"

# What the rows are once they are migrated, by database.
KEY = hashlib.sha256("cart-key-ключ".encode()).hexdigest()
ADMIN = "11111111-1111-1111-1111-111111111111"
FACTS: dict[str, list[tuple[str, object]]] = {
    "inventory": [
        ("SELECT count(*) FROM stock_level", 21),
        ("SELECT sum(on_hand) FROM stock_level", 2123),
        ("SELECT count(*) FROM stock_movement", 30),
        ("SELECT array_agg(owner ORDER BY reservation_id) FROM reservation", [KEY, ADMIN, ""]),
        ("SELECT count(*) FROM request WHERE principal = 'cart:' || %(key)s", 1),
        ("SELECT count(*) FROM request WHERE principal = 'user:' || %(admin)s", 4),
        ("SELECT sent_revision FROM change_log_follower", 5),
        ("SELECT count(*) FROM change_log_find(0, 1000, '', ARRAY['bolt-1/main'], 10)", 3),
    ],
    "content": [
        ("SELECT count(*) FROM part", 20),
        ("SELECT count(*) FROM part_version", 26),
        ("SELECT path FROM category WHERE category_id = 'hex-bolts'", ["Screws and bolts", "Hex bolts"]),
        ("SELECT array_agg(DISTINCT principal) FROM request", [f"user:{ADMIN}"]),
        ("SELECT count(*) FROM part WHERE search @@ part_search_query(ARRAY['cafe\u0301', '\u03bcm'])", 20),
    ],
    "edge": [
        ("""SELECT array_agg(username ORDER BY username COLLATE "C") FROM "user" """, ["Clerk", "admin", "old"]),
        ("""SELECT roles FROM "user" WHERE username = 'admin'""", ["admin", "support"]),
        ("SELECT count(*) FROM session", 2),
        ("SELECT count(*) FROM refresh_token", 1),
        ("SELECT array_agg(DISTINCT purpose) FROM login_attempt", ["sign_in"]),
        ("SELECT max(length(username)) FROM security_event", 200),
    ],
    "audit": [
        ("SELECT count(*) FROM data_change", 40),
        (UNGUARDED_MONTHS, 0),
    ],
}


@contextmanager
def restored(servers: TestServers, service: str, tmp_path: Path) -> Iterator[str]:
    """Give the connection string of a database with the rows of release 0.1.0."""
    file = tmp_path / f"{service}.sql"
    file.write_bytes(gzip.decompress((DUMPS / f"{service}.sql.gz").read_bytes()))
    with database(servers, service, "template0") as dsn:
        run_file(dsn, file)
        yield dsn


def restored_catalogue(servers: TestServers, service: str, dsn: str, tmp_path: Path) -> list[str]:
    """Return the catalogue after a dump and a restore, which print nested conditions with fewer brackets."""
    file = tmp_path / "catalogue.sql"
    file.write_text("\n".join(catalogue(dsn, *MONTHS)).replace("CREATE SCHEMA public;", ""))
    with database(servers, service, "template0") as copy:
        run_file(copy, file)
        return catalogue(copy)


def first(connection: psycopg.Connection[Any], query: str) -> tuple[Any, ...]:
    row = connection.execute(query, {"key": KEY, "admin": ADMIN} if "%(" in query else None).fetchone()
    assert row is not None
    return tuple(row)


@pytest.mark.parametrize("service", PACKAGES)
def test_an_upgraded_database_is_like_a_new_one(
    servers: TestServers, run_folder: Path, tmp_path: Path, service: str
) -> None:
    template = ensure_template(servers, service, run_folder)
    with restored(servers, service, tmp_path) as dsn, database(servers, service, template) as new:
        migrate(service, dsn)

        upgraded, fresh = (restored_catalogue(servers, service, each, tmp_path) for each in (dsn, new))
    assert upgraded == fresh


@pytest.mark.parametrize("service", PACKAGES)
def test_an_upgrade_keeps_the_rows(servers: TestServers, tmp_path: Path, service: str) -> None:
    with restored(servers, service, tmp_path) as dsn:
        migrate(service, dsn)
        migrate(service, dsn)

        with psycopg.connect(dsn) as connection:
            found = [(query, first(connection, query)[0]) for query, _ in FACTS[service]]
    assert found == FACTS[service]


@pytest.mark.parametrize("service", ["inventory", "content"])
async def test_an_upgraded_log_is_whole(servers: TestServers, tmp_path: Path, service: str) -> None:
    with restored(servers, service, tmp_path) as dsn:
        with psycopg.connect(dsn) as connection:
            before = first(connection, HEAD)
        migrate(service, dsn)
        with psycopg.connect(dsn) as connection:
            after, differences = first(connection, HEAD), first(connection, DIFFERENCES)
        shell = await asyncpg.connect(dsn)
        verdict = await verify_chain(shell)
        await shell.close()

    assert after == before
    assert differences == (0,)
    assert (verdict.checked, verdict.first_bad_revision) == (before[0], None)
