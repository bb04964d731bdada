"""Entries of raw SQL are staged without the log's lock, and written at the end of the commit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from tests.harness.templates import migrate
from tests.harness.unstaged_log import UNSTAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

Shell = psycopg.Connection[tuple[Any, ...]]

ENTRIES = """
SELECT entity_id, version, (after->>'on_hand')::int FROM change_log WHERE entity = 'stock_level' AND revision > %s
ORDER BY revision
"""
HEAD = "SELECT max(revision) FROM change_log"
LEVELS = (
    "INSERT INTO stock_level (part_id, location_id, on_hand) SELECT 'p' || n, 'main', 10 FROM generate_series(1, %s) n"
)
# Revisions with a gap, or whose hash is not over the entry before.
BROKEN = """
SELECT count(*) FROM (
    SELECT l.*, lag(l.revision, 1, 0::bigint) OVER w AS revision_before,
           coalesce(lag(l.hash) OVER w, sha256(convert_to(l.epoch::text, 'UTF8'))) AS hash_before
    FROM change_log l WINDOW w AS (ORDER BY l.revision)) AS e
WHERE e.revision <> e.revision_before + 1 OR e.hash <> change_log_entry_hash(e.hash_before, e.revision, e.epoch,
    e.transaction_id, e.entity, e.entity_id, e.version, e.operation, e.before, e.after, e.details, e.actor,
    e.actor_name, e.source, e.client_ip, e.request_id, e.traceparent, e.reason, e.committed_at)
"""
DIFFERENCES = "SELECT count(*) FROM change_log_rows_that_differ()"
STAGED = "SELECT count(*) FROM change_log_staged"


@pytest.fixture
def shell(inventory_dsn: str) -> Iterator[Shell]:
    """A SQL shell as the owner role; three levels of 10 units; the log is whole when the test is over."""
    with psycopg.connect(inventory_dsn, autocommit=True) as connection:
        connection.execute(LEVELS, (3,))
        yield connection
        connection.rollback()
        assert [number(connection, query) for query in (BROKEN, DIFFERENCES, STAGED)] == [0, 0, 0]


@pytest.fixture
def other(inventory_dsn: str) -> Iterator[Shell]:
    """A second SQL shell."""
    with psycopg.connect(inventory_dsn, autocommit=True) as connection:
        yield connection


def number(shell: Shell, query: str) -> int:
    """The one number of a query."""
    row = shell.execute(query.encode()).fetchone()
    return int(row[0]) if row and row[0] is not None else 0


def entries(shell: Shell, after: int) -> list[tuple[Any, ...]]:
    """Part, version and stock of the entries of levels after a revision."""
    return shell.execute(ENTRIES, (after,)).fetchall()


def test_a_transaction_has_one_entry_for_each_row_and_statement(shell: Shell) -> None:
    head = number(shell, HEAD)

    with shell.transaction():
        shell.execute("UPDATE stock_level SET on_hand = 11")
        shell.execute("UPDATE stock_level SET on_hand = 12 WHERE part_id = 'p2'")

    assert entries(shell, head) == [("p1/main", 2, 11), ("p2/main", 2, 11), ("p3/main", 2, 11), ("p2/main", 3, 12)]


def test_a_savepoint_that_is_rolled_back_leaves_no_entry(shell: Shell) -> None:
    head = number(shell, HEAD)

    with shell.transaction():
        shell.execute("SAVEPOINT a; UPDATE stock_level SET on_hand = 99; SET CONSTRAINTS level_updated_log IMMEDIATE")
        shell.execute("ROLLBACK TO a; UPDATE stock_level SET on_hand = 11 WHERE part_id = 'p1'")
        shell.execute("SAVEPOINT b; UPDATE stock_level SET on_hand = 99; SET CONSTRAINTS ALL IMMEDIATE; ROLLBACK TO b")
        shell.execute("UPDATE stock_level SET on_hand = 12 WHERE part_id = 'p1'")

    assert entries(shell, head) == [("p1/main", 2, 11), ("p1/main", 3, 12)]


@pytest.mark.parametrize(
    "constraints",
    ["ALL IMMEDIATE", "level_updated_log IMMEDIATE", "staged_entries_are_written IMMEDIATE"],
)
def test_entries_come_in_order_whatever_is_immediate(shell: Shell, constraints: str) -> None:
    head = number(shell, HEAD)

    with shell.transaction():
        shell.execute("UPDATE stock_level SET on_hand = 11 WHERE part_id = 'p1'")
        shell.execute(f"SET CONSTRAINTS {constraints}".encode())
        shell.execute("UPDATE stock_level SET on_hand = 12 WHERE part_id = 'p1'")
        shell.execute("SET CONSTRAINTS ALL DEFERRED")
        shell.execute("UPDATE stock_level SET on_hand = 13 WHERE part_id = 'p1'")

    assert [("p1/main", version, 9 + version) for version in (2, 3, 4)] == entries(shell, head)


def test_what_is_staged_comes_before_what_appends_directly(shell: Shell) -> None:
    """A location's entry takes the log's lock at once: staged levels of the transaction must not come after it."""
    head = number(shell, HEAD)

    with shell.transaction():
        shell.execute("UPDATE stock_level SET on_hand = 11 WHERE part_id = 'p1'")
        shell.execute("UPDATE location SET name = 'Elsewhere'")
        shell.execute("UPDATE stock_level SET on_hand = 12 WHERE part_id = 'p1'")

    assert entries(shell, head) == [("p1/main", 2, 11), ("p1/main", 3, 12)]


def test_others_write_while_the_entries_of_a_transaction_are_prepared(shell: Shell, other: Shell) -> None:
    with shell.transaction():
        shell.execute("UPDATE stock_level SET on_hand = 11 WHERE part_id = 'p1'")
        shell.execute("SET CONSTRAINTS level_updated_log IMMEDIATE")
        assert number(shell, STAGED) == 1

        other.execute("SET lock_timeout = '10s'")
        other.execute("UPDATE stock_level SET on_hand = 12 WHERE part_id = 'p2'")

    assert number(shell, "SELECT revision FROM change_log WHERE entity_id = 'p2/main' AND version = 2") < number(
        shell, "SELECT revision FROM change_log WHERE entity_id = 'p1/main' AND version = 2"
    )


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("INSERT INTO change_log_staged SELECT * FROM change_log_staged", ""),
        ("DELETE FROM change_log_staged", "change_log_is_append_only"),
        ("UPDATE change_log_staged SET before = after", "change_log_is_append_only"),
        ("TRUNCATE change_log_staged", ""),
        ("SELECT change_log_write_staged()", "change_log_is_written_by_commits"),
        (
            "SELECT change_log_append('a', 'a', 1, 'created', NULL, '{}', NULL, '', '', 'sql', '', '', '', '')",
            "change_log_is_written_by_commits",
        ),
    ],
)
def test_what_is_staged_cannot_be_changed_by_hand(shell: Shell, statement: str, rule: str) -> None:
    head = number(shell, HEAD)

    with pytest.raises(psycopg.Error) as caught, shell.transaction():
        shell.execute("UPDATE stock_level SET on_hand = 11; SET CONSTRAINTS level_updated_log IMMEDIATE")
        shell.execute(statement.encode())

    assert not rule or caught.value.diag.constraint_name == rule
    assert entries(shell, head) == []


def test_stock_does_not_come_to_a_location_that_is_archived_meanwhile(shell: Shell, other: Shell) -> None:
    """The check of either used to stand behind the log's lock, which a staged entry has not taken yet."""
    shell.execute("INSERT INTO location (location_id, name) VALUES ('north', 'North')")
    shell.execute("INSERT INTO stock_level (part_id, location_id, on_hand) VALUES ('p1', 'north', 0)")
    other.execute("SET lock_timeout = '200ms'")

    with shell.transaction():
        shell.execute("UPDATE stock_level SET on_hand = 1 WHERE location_id = 'north'")
        shell.execute("SET CONSTRAINTS level_updated_log IMMEDIATE")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            other.execute("UPDATE location SET archived_at = now() WHERE location_id = 'north'")

    with pytest.raises(psycopg.errors.CheckViolation) as caught:
        other.execute("UPDATE location SET archived_at = now() WHERE location_id = 'north'")
    assert caught.value.diag.constraint_name == "archived_location_holds_no_stock"


def test_an_old_snapshot_gets_a_retryable_error(shell: Shell, other: Shell) -> None:
    with pytest.raises(psycopg.errors.SerializationFailure), shell.transaction():
        shell.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM stock_level")
        other.execute("UPDATE stock_level SET on_hand = 12 WHERE part_id = 'p2'")
        shell.execute("UPDATE stock_level SET on_hand = 11 WHERE part_id = 'p1'")


def test_a_database_of_before_stages_after_the_migration(shell: Shell, inventory_dsn: str) -> None:
    shell.execute(UNSTAGE)
    shell.execute("UPDATE stock_level SET on_hand = 11")

    migrate("inventory", inventory_dsn)

    shell.execute("UPDATE stock_level SET on_hand = 12")
    with shell.transaction():
        shell.execute("UPDATE stock_level SET on_hand = 13; SET CONSTRAINTS level_updated_log IMMEDIATE")
        assert number(shell, STAGED) == 3
