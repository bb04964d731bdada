"""The four databases on a real server."""

import psycopg
import pytest

from stack.servers.databases import NAMES, dsn_for, ensure_databases
from tests.harness.servers import PASSWORD, TestServers


def test_each_database_belongs_to_the_role_of_its_name(servers: TestServers) -> None:
    for name in NAMES:
        with psycopg.connect(dsn_for(servers.admin_dsn, name, PASSWORD)) as connection:
            row = connection.execute(
                "SELECT current_user, pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
            ).fetchone()

        assert row == (name, name)


def test_a_role_cannot_open_its_neighbours_database(servers: TestServers) -> None:
    dsn = dsn_for(servers.admin_dsn, "content", PASSWORD, "inventory")

    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        psycopg.connect(dsn)


def test_preparing_twice_changes_nothing(servers: TestServers) -> None:
    passwords = dict.fromkeys(NAMES, PASSWORD)

    assert ensure_databases(servers.admin_dsn, passwords) == ensure_databases(servers.admin_dsn, passwords)


def test_text_of_every_language_is_folded(empty_dsn: str) -> None:
    with psycopg.connect(empty_dsn) as connection:
        assert connection.execute("SELECT lower('ÄÖÜ'), 'Ω' ~* 'ω'").fetchone() == ("äöü", True)


async def test_async_tests_run_without_a_mark(redis_url: str) -> None:
    assert redis_url.startswith("redis://")
