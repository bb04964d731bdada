"""Whether a database is behind its room's migrations."""

import psycopg

from stack.supervision.migrations import is_behind


def test_empty_database_is_behind(empty_dsn: str) -> None:
    assert is_behind("inventory_svc", empty_dsn)


def test_migrated_database_is_not_behind(inventory_dsn: str) -> None:
    assert not is_behind("inventory_svc", inventory_dsn)


def test_database_of_an_older_release_is_behind(inventory_dsn: str) -> None:
    with psycopg.connect(inventory_dsn) as connection:
        connection.execute("DELETE FROM migration")

    assert is_behind("inventory_svc", inventory_dsn)


def test_database_that_is_away_counts_as_behind() -> None:
    assert is_behind("inventory_svc", "postgresql://inventory:x@127.0.0.1:1/inventory")
