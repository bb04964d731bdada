"""Only commits write the log, under no other names than ours; a row that was changed behind its back is found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.harness.templates import migrate
from tests.harness.unstaged_log import UNSTAGE

Shell = psycopg.Connection[tuple[Any, ...]]

ENTRIES = "SELECT version, (after->>'on_hand')::int FROM change_log WHERE entity_id = 'bolt/main' ORDER BY revision"
MOVEMENTS = "SELECT version, on_hand_after FROM public.stock_movement WHERE part_id = 'bolt' ORDER BY version"
FORGED_ENTRY = """
INSERT INTO {table} SELECT revision + {ahead}, epoch, transaction_id, entity, 'forged', version, operation, before,
    after, details, actor, actor_name, source, client_ip, request_id, traceparent, reason, committed_at, hash
FROM change_log ORDER BY revision DESC LIMIT 1
"""
APPEND_BY_HAND = """
SELECT change_log_append('thing', 'forged', 1, 'created', NULL, '{}', NULL, 'me', 'me', 'service', '', '', '', '')
"""
DIFFERENCES = "SELECT entity, entity_id, problem FROM change_log_rows_that_differ() ORDER BY 1, 2, 3"


@pytest.fixture
def shell(inventory_dsn: str) -> Iterator[Shell]:
    """A SQL shell as the owner role; ten bolts at `main`."""
    with psycopg.connect(inventory_dsn, autocommit=True) as connection:
        connection.execute("INSERT INTO stock_level (part_id, location_id, on_hand) VALUES ('bolt', 'main', 10)")
        yield connection


def refused(shell: Shell, statement: str) -> tuple[str | None, str | None]:
    """The rule that refuses a statement, and its SQLSTATE."""
    with pytest.raises(psycopg.Error) as caught:
        shell.execute(statement.encode())
    return caught.value.diag.constraint_name, caught.value.diag.sqlstate


@pytest.mark.parametrize("table", ["change_log", "change_log_000000000000"])
@pytest.mark.parametrize("ahead", [1, 1000])
def test_an_entry_inserted_by_hand_is_rejected(shell: Shell, table: str, ahead: int) -> None:
    assert refused(shell, FORGED_ENTRY.format(table=table, ahead=ahead))[0] == "change_log_is_written_by_commits"


def test_appending_by_hand_is_refused(shell: Shell) -> None:
    assert refused(shell, APPEND_BY_HAND)[0] == "change_log_is_written_by_commits"


@pytest.mark.parametrize("statement", ["DELETE FROM change_log_identity", "TRUNCATE change_log_identity"])
def test_the_log_keeps_its_identity(shell: Shell, statement: str) -> None:
    assert refused(shell, statement)[0] == "change_log_identity_stays"


def test_a_head_that_a_session_brings_along_makes_no_gap(shell: Shell) -> None:
    """A person could set the log's head to 5000 and left a gap of thousands of revisions with his next update."""
    epoch = shell.execute("SELECT epoch FROM change_log_identity").fetchone()
    assert epoch is not None
    shell.execute("SELECT set_config('partstream.log_head', %s, false)", (f"5000 {epoch[0]} abcd",))

    shell.execute("UPDATE stock_level SET on_hand = 9")

    assert shell.execute("SELECT max(revision) - count(*) FROM change_log").fetchone() == (0,)
    assert shell.execute(ENTRIES).fetchall() == [(1, 10), (2, 9)]


@pytest.mark.parametrize("table", ["change_log", "stock_movement", "location", "users"])
def test_a_temporary_table_of_the_same_name_takes_nothing(shell: Shell, table: str) -> None:
    """The entry of a change went into a temporary copy of the log that was created for a query."""
    shell.execute(f"CREATE TEMPORARY TABLE {table} AS SELECT * FROM {table}".encode())  # noqa: S608

    shell.execute("UPDATE stock_level SET on_hand = 9")

    shell.execute(f"DROP TABLE pg_temp.{table}".encode())
    assert shell.execute(ENTRIES).fetchall() == [(1, 10), (2, 9)]
    assert shell.execute(MOVEMENTS).fetchall() == [(1, 10), (2, 9)]


def test_functions_of_another_schema_are_not_called_in_place_of_ours(shell: Shell) -> None:
    shell.execute("CREATE SCHEMA other")
    shell.execute("""
        CREATE FUNCTION other.change_log_append(
            text, text, bigint, text, jsonb, jsonb, jsonb, text, text, text, text, text, text, text
        ) RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint'
    """)
    shell.execute("SET search_path = other, public")

    shell.execute("UPDATE stock_level SET on_hand = 9")

    assert shell.execute(ENTRIES).fetchall() == [(1, 10), (2, 9)]


def test_a_change_under_no_names_at_all_is_written_like_any_other(shell: Shell) -> None:
    """With an empty search path, as careful scripts set it, every update was refused: a function was not found."""
    shell.execute("SET search_path = ''")

    shell.execute("UPDATE public.stock_level SET on_hand = 9")

    shell.execute("RESET search_path")
    assert shell.execute(ENTRIES).fetchall() == [(1, 10), (2, 9)]


def test_a_snapshot_older_than_the_log_gets_a_retryable_error(shell: Shell, inventory_dsn: str) -> None:
    """It got a duplicate key error of a partition of the log."""
    with psycopg.connect(inventory_dsn, autocommit=True) as other:
        other.execute("INSERT INTO stock_level (part_id, location_id) VALUES ('nut', 'main')")
        other.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        other.execute("SELECT 1 FROM stock_level")
        shell.execute("UPDATE stock_level SET on_hand = 9 WHERE part_id = 'bolt'")
        other.execute("UPDATE stock_level SET on_hand = 1 WHERE part_id = 'nut'")

        assert refused(other, "COMMIT") == ("change_log_moved_on", "40001")

        other.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        other.execute("UPDATE stock_level SET on_hand = 1 WHERE part_id = 'nut'")
        other.execute("COMMIT")
    assert shell.execute("SELECT max(revision) - count(*), max(revision) FROM change_log").fetchone() == (0, 5)


@pytest.mark.parametrize("statement", ["UPDATE location SET name = name", "UPDATE location SET version = version"])
def test_a_location_that_is_written_as_it_was_is_no_new_version(shell: Shell, statement: str) -> None:
    shell.execute(statement.encode())

    assert shell.execute("SELECT version FROM location").fetchall() == [(1,)]


NUT = """
INSERT INTO stock_level (part_id, location_id, last_updated_by, last_updated_by_name)
VALUES ('nut', 'main', '00000000-0000-0000-0000-000000000000', 'x')
"""
BEHIND_ITS_BACK = [
    ("stock_level", "UPDATE stock_level SET on_hand = 99", [("stock_level", "bolt/main")] * 2),
    ("stock_level", "UPDATE stock_level SET reorder_point = 99", [("stock_level", "bolt/main")]),
    ("stock_level", "DELETE FROM stock_level", [("stock_level", "bolt/main")]),
    ("stock_level", NUT, [("stock_level", "nut/main")] * 2),
    ("stock_movement", "DELETE FROM stock_movement", [("stock_level", "bolt/main")]),
    ("stock_movement", "UPDATE stock_movement SET on_hand_delta = 9", [("stock_level", "bolt/main")]),
    ("location", "UPDATE location SET name = 'Elsewhere'", [("location", "main")]),
]


@pytest.mark.parametrize(
    ("table", "statement", "found"), BEHIND_ITS_BACK, ids=[case[1][:40] for case in BEHIND_ITS_BACK]
)
def test_a_row_changed_while_the_triggers_were_off_is_found(
    shell: Shell, table: str, statement: str, found: list[tuple[str, str]]
) -> None:
    shell.execute("SET timezone = 'Asia/Kolkata'")  # moments are the same whatever they are printed as
    shell.execute("UPDATE stock_level SET on_hand = 8; UPDATE stock_level SET on_hand = 10")
    assert shell.execute(DIFFERENCES).fetchall() == []
    shell.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER".encode())

    shell.execute(statement.encode())

    assert [row[:2] for row in shell.execute(DIFFERENCES)] == found


def test_a_row_whose_entries_retention_has_dropped_is_no_difference(shell: Shell) -> None:
    shell.execute("ALTER TABLE change_log DISABLE TRIGGER USER")
    shell.execute("DELETE FROM change_log WHERE entity = 'location'")
    assert shell.execute(DIFFERENCES).fetchall() == [("location", "main", "no entry tells of the row")]

    shell.execute("INSERT INTO change_log_compaction (last_revision, first_revision, last_hash) VALUES (1, 1, '')")

    assert shell.execute(DIFFERENCES).fetchall() == []


AS_BEFORE = """
DROP TRIGGER change_log_is_written_by_commits ON change_log;
DROP FUNCTION change_log_is_written_by_commits();
DROP TRIGGER change_log_identity_stays ON change_log_identity;
DROP FUNCTION change_log_identity_stays();
DROP FUNCTION change_log_rows_that_differ();
DELETE FROM migration WHERE name = '2026-11-22T19:10:00:000005';
"""


def test_a_database_of_before_is_guarded_and_whole_after_the_migration(shell: Shell, inventory_dsn: str) -> None:
    shell.execute(UNSTAGE)
    shell.execute(AS_BEFORE)
    shell.execute("UPDATE stock_level SET on_hand = 9")

    migrate("inventory", inventory_dsn)

    shell.execute("SELECT change_log_ensure_partitions(6)")
    assert refused(shell, FORGED_ENTRY.format(table="change_log", ahead=1))[0] == "change_log_is_written_by_commits"
    assert shell.execute(DIFFERENCES).fetchall() == []
