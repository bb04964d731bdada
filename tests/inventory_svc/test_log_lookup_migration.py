"""A database from before the search of the log: its entries are found like new ones."""

from __future__ import annotations

import psycopg

from tests.harness.templates import migrate

AS_BEFORE = """
DROP INDEX change_log_by_entity;
DROP FUNCTION change_log_find(bigint, bigint, text, text[], int);
DROP FUNCTION change_log_summarise();
DELETE FROM migration WHERE name = '2026-11-22T15:40:00:000001';
"""
LEVELS = """
INSERT INTO stock_level (part_id, location_id, on_hand) SELECT 'p' || n, 'main', 1 FROM generate_series(1, 500) AS n
"""
FIND = "SELECT entity_id FROM change_log_find(0, 200000, '', ARRAY['p7/main', 'p400/main'], 10)"
UNINDEXED = """
SELECT count(*) FROM change_log_partitions() AS p WHERE NOT EXISTS (
    SELECT 1 FROM pg_index AS i JOIN pg_inherits AS h ON h.inhrelid = i.indexrelid
    WHERE i.indrelid = p.partition AND h.inhparent = 'change_log_by_entity'::regclass)
"""


def test_older_entries_are_found(inventory_dsn: str) -> None:
    with psycopg.connect(inventory_dsn, autocommit=True) as connection:
        connection.execute(AS_BEFORE)
        connection.execute(LEVELS)

        migrate("inventory", inventory_dsn)
        connection.execute("SELECT change_log_ensure_partitions(6)")

        assert connection.execute(FIND).fetchall() == [("p7/main",), ("p400/main",)]
        assert connection.execute(UNINDEXED).fetchone() == (0,)
