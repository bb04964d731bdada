"""What a person at a SQL shell can and cannot do: without the Python rules the database keeps the rules."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.inventory_svc.running import check_books

ANYBODY = "00000000-0000-0000-0000-000000000000"


class Shell:
    """A SQL shell on the inventory database, as its owner role."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.connection = psycopg.connect(dsn, autocommit=True)

    def run(self, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
        cursor = self.connection.execute(query.encode(), arguments or None)
        return cursor.fetchall() if cursor.description else []

    def refused(self, query: str, *arguments: Any) -> str | None:
        """The rule that refuses a statement."""
        with pytest.raises(psycopg.Error) as caught:
            self.run(query, *arguments)
        return caught.value.diag.constraint_name

    def as_service(self) -> None:
        """From now on pretend to be the service: nothing is filled in, everything is checked."""
        self.run("SET partstream.source = 'service'")

    def close(self) -> None:
        self.connection.close()


@pytest.fixture
def shell(inventory_dsn: str) -> Iterator[Shell]:
    """A shell, ten bolts at `main`; the books are checked at the end."""
    opened = Shell(inventory_dsn)
    opened.run("INSERT INTO location (location_id, name) VALUES ('berlin', 'Berlin')")
    opened.run("INSERT INTO stock_level (part_id, location_id, on_hand) VALUES ('bolt', 'main', 10)")
    yield opened
    opened.close()
    check_books(inventory_dsn)


ENTRY = """
SELECT version, operation, (after->>'on_hand')::int, jsonb_array_length(details->'movements'), source, actor_name,
       reason
FROM change_log WHERE entity = 'stock_level' ORDER BY revision DESC LIMIT 1
"""


def test_an_inserted_level_begins_with_a_movement(shell: Shell) -> None:
    assert shell.run(ENTRY) == [(1, "created", 10, 1, "sql", "inventory", "changed by SQL")]


@pytest.mark.parametrize(
    "assignment",
    ["on_hand = 7", "on_hand = 7, version = version + 1", "on_hand = 7, version = 99, updated_at = '1999-01-01'"],
)
def test_an_update_by_hand_is_a_movement_of_the_role(shell: Shell, assignment: str) -> None:
    shell.run(f"UPDATE stock_level SET {assignment} WHERE part_id = 'bolt'")  # noqa: S608

    assert shell.run(ENTRY) == [(2, "updated", 7, 1, "sql", "inventory", "changed by SQL")]
    movement = shell.run("SELECT kind, on_hand_delta, actor_name, source FROM stock_movement WHERE version = 2")
    assert movement == [("adjusted", -3, "inventory", "sql")]
    assert shell.run("SELECT username FROM users WHERE id = (SELECT last_updated_by FROM stock_level)") == [
        ("inventory",)
    ]


def test_a_reason_given_at_the_shell_is_kept(shell: Shell) -> None:
    shell.run("SET partstream.reason = 'stocktaking'")
    shell.run("UPDATE stock_level SET on_hand = 7")

    assert shell.run(ENTRY)[0][-1] == "stocktaking"


def test_an_update_that_changes_nothing_is_no_change(shell: Shell) -> None:
    shell.run("UPDATE stock_level SET on_hand = on_hand")

    assert shell.run("SELECT version FROM stock_level") == [(1,)]


def test_two_updates_of_one_level_in_one_transaction_are_two_entries(shell: Shell) -> None:
    with shell.connection.transaction():
        shell.run("UPDATE stock_level SET on_hand = 9")
        shell.run("UPDATE stock_level SET on_hand = 8")

    assert shell.run("SELECT version FROM change_log WHERE entity = 'stock_level' ORDER BY revision") == [
        (1,),
        (2,),
        (3,),
    ]


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("UPDATE stock_level SET on_hand = -1", "on_hand_not_negative"),
        ("UPDATE stock_level SET on_hand = 9000000000000001", "on_hand_within_range"),
        ("UPDATE stock_level SET reserved = 11", "reserved_within_on_hand"),
        ("UPDATE stock_level SET reserved = -1", "reserved_within_on_hand"),
        ("UPDATE stock_level SET reorder_point = -1", "reorder_point_not_negative"),
        ("UPDATE stock_level SET part_id = 'nut'", "identity_never_changes"),
        ("UPDATE stock_level SET location_id = 'berlin'", "identity_never_changes"),
        ("DELETE FROM stock_level", "level_is_never_deleted"),
        ("TRUNCATE stock_level CASCADE", "level_is_never_deleted"),
        ("INSERT INTO stock_level (part_id, location_id) VALUES ('nut', 'paris')", "stock_level_location_exists"),
        ("INSERT INTO stock_level (part_id, location_id) VALUES ('a b', 'main')", "part_id_well_formed"),
        ("INSERT INTO stock_level (part_id, location_id, on_hand) VALUES ('nut', 'main', -1)", "on_hand_not_negative"),
        ("UPDATE stock_movement SET reason = 'other'", "ledger_is_append_only"),
        ("DELETE FROM stock_movement", "ledger_is_append_only"),
        ("TRUNCATE stock_movement", "ledger_is_append_only"),
        ("DELETE FROM location", "location_is_never_deleted"),
        ("UPDATE location SET location_id = 'x' || location_id", "identity_never_changes"),
        ("UPDATE location SET archived_at = now() WHERE location_id = 'main'", "archived_location_holds_no_stock"),
        ("UPDATE change_log SET reason = 'other'", "change_log_is_append_only"),
        ("DELETE FROM change_log", "change_log_is_append_only"),
        ("TRUNCATE change_log", "change_log_is_append_only"),
    ],
)
def test_the_database_refuses_what_is_wrong(shell: Shell, statement: str, rule: str) -> None:
    assert shell.refused(statement) == rule
    if not statement.startswith("INSERT"):
        shell.as_service()
        assert shell.refused(statement) == rule


MOVEMENT = """
INSERT INTO stock_movement (part_id, location_id, version, kind, on_hand_delta, reserved_delta, on_hand_after,
                            reserved_after, actor, actor_name, source, reason, occurred_at)
VALUES ('bolt', 'main', %s, %s, %s, 0, %s, 0, '00000000-0000-0000-0000-000000000000', 'x', 'sql', %s, now())
"""


def test_a_ledger_row_without_its_level_is_refused(shell: Shell) -> None:
    assert shell.refused(MOVEMENT, 2, "received", 1, 11, "") == "ledger_matches_level"
    assert shell.refused(MOVEMENT, 1, "received", 1, 11, "") == "stock_movement_pkey"


@pytest.mark.parametrize(
    ("kind", "delta", "after", "reason", "rule"),
    [
        ("adjusted", -1, 9, "", "movement_is_explained"),
        ("adjusted", -11, -1, "why", "movement_leaves_sound_balance"),
        ("reversed", -1, 9, "why", "movement_is_explained"),
        ("stolen", -1, 9, "why", "movement_kind_known"),
        ("received", 1, 12, "", "ledger_matches_level"),
        ("received", 2, 11, "", "ledger_matches_level"),
    ],
)
def test_a_ledger_that_does_not_lead_to_its_level_is_refused(
    shell: Shell, kind: str, delta: int, after: int, reason: str, rule: str
) -> None:
    shell.as_service()

    with pytest.raises(psycopg.Error) as caught, shell.connection.transaction():
        shell.run("UPDATE stock_level SET on_hand = 11, version = 2")
        shell.run(MOVEMENT, 2, kind, delta, after, reason)

    assert caught.value.diag.constraint_name == rule


@pytest.mark.parametrize(
    "assignment", ["on_hand = 11", "on_hand = 11, version = 2", "on_hand = 11, version = 3", "version = 0"]
)
def test_a_level_without_its_ledger_is_refused(shell: Shell, assignment: str) -> None:
    shell.as_service()

    assert shell.refused(f"UPDATE stock_level SET {assignment}") in {"ledger_matches_level", "level_version_positive"}  # noqa: S608


def test_an_archived_level_neither_moves_nor_holds(shell: Shell) -> None:
    shell.run("UPDATE stock_level SET reserved = 1")
    assert shell.refused("UPDATE stock_level SET archived_at = now()") == "archived_level_holds_no_reservation"
    shell.run("UPDATE stock_level SET archived_at = now(), reserved = 0")

    assert shell.refused("UPDATE stock_level SET on_hand = 3") == "archived_level_does_not_move"


def test_stock_cannot_grow_at_an_archived_location(shell: Shell) -> None:
    shell.run("INSERT INTO stock_level (part_id, location_id) VALUES ('bolt', 'berlin')")
    shell.run("UPDATE location SET archived_at = now() WHERE location_id = 'berlin'")

    assert (
        shell.refused("UPDATE stock_level SET on_hand = 1 WHERE location_id = 'berlin'")
        == "stock_lies_at_live_locations"
    )


def test_archiving_a_location_and_filling_it_at_once_cannot_both_happen(shell: Shell) -> None:
    shell.run("INSERT INTO stock_level (part_id, location_id) VALUES ('bolt', 'berlin')")
    other = Shell(shell.dsn)
    refused: list[str | None] = []

    def fill() -> None:
        refused.append(other.refused("COMMIT"))

    other.run("BEGIN")
    other.run("UPDATE stock_level SET on_hand = 1 WHERE location_id = 'berlin'")
    shell.run("BEGIN")
    shell.run("UPDATE location SET archived_at = now() WHERE location_id = 'berlin'")
    shell.run("SET CONSTRAINTS ALL IMMEDIATE")  # the log's lock is held from here on
    filling = threading.Thread(target=fill)
    filling.start()
    shell.run("COMMIT")
    filling.join(10)
    other.close()

    assert refused == ["stock_lies_at_live_locations"]


def hold(shell: Shell, quantity: int = 4, lines: int = 1) -> str:
    """A reservation made by hand."""
    reservation_id = str(uuid.uuid4())
    with shell.connection.transaction():
        shell.run(
            "INSERT INTO reservation (reservation_id, line_count, expires_at) VALUES (%s, %s, 'infinity')",
            reservation_id,
            lines,
        )
        shell.run("INSERT INTO reservation_line VALUES (%s, 1, 'bolt', 'main', %s)", reservation_id, quantity)
    return reservation_id


def test_a_reservation_made_and_ended_by_hand_moves_its_stock(shell: Shell) -> None:
    first, second = hold(shell), hold(shell, 3)
    assert shell.run("SELECT on_hand, reserved, version FROM stock_level") == [(10, 7, 3)]

    shell.run("UPDATE reservation SET state = 'committed' WHERE reservation_id = %s", first)
    shell.run("UPDATE reservation SET state = 'released' WHERE reservation_id = %s", second)

    assert shell.run("SELECT on_hand, reserved, version FROM stock_level") == [(6, 0, 5)]
    entries = "SELECT operation, after->>'state' FROM change_log WHERE entity = 'reservation' ORDER BY revision"
    assert shell.run(entries) == [
        ("created", "held"),
        ("created", "held"),
        ("updated", "committed"),
        ("updated", "released"),
    ]


def test_a_reservation_follows_its_life(shell: Shell) -> None:
    held = hold(shell)
    shell.run("UPDATE reservation SET state = 'committed'")

    assert shell.refused("UPDATE reservation SET state = 'held'") == "reservation_state_follows_its_life"
    assert shell.refused("UPDATE reservation SET expires_at = now()") == "reservation_state_follows_its_life"
    assert shell.refused("DELETE FROM reservation") == "reservation_is_never_deleted"
    assert shell.refused("DELETE FROM reservation_line") == "lines_are_append_only"
    assert shell.refused("UPDATE reservation_line SET quantity = 1") == "lines_are_append_only"
    line = "INSERT INTO reservation_line VALUES (%s, 2, 'bolt', 'main', 1)"
    assert shell.refused(line, held) == "reservation_has_its_lines"
    begun = (
        "INSERT INTO reservation (reservation_id, state, line_count, expires_at) VALUES (%s, 'released', 1, 'infinity')"
    )
    assert shell.refused(begun, str(uuid.uuid4())) == "reservation_state_follows_its_life"


def test_a_reservation_without_its_lines_is_refused(shell: Shell) -> None:
    with pytest.raises(psycopg.Error) as caught:
        hold(shell, lines=2)

    assert caught.value.diag.constraint_name == "reservation_has_its_lines"


def test_more_than_there_is_cannot_be_held(shell: Shell) -> None:
    with pytest.raises(psycopg.Error) as caught:
        hold(shell, 11)

    assert caught.value.diag.constraint_name == "reserved_within_on_hand"


def test_plans_made_while_the_ledger_was_empty_stay_good(inventory_dsn: str) -> None:
    """A plan cached over an empty, analysed ledger scanned all of it for every row: 1.6 s per 200 rows."""
    shell = Shell(inventory_dsn)
    for table in ("stock_level", "stock_movement", "reservation", "change_log", "users"):
        shell.run(f"ANALYZE {table}")
    shell.run("SET plan_cache_mode = force_generic_plan")
    shell.run("INSERT INTO stock_level (part_id, location_id) SELECT 'p' || n, 'main' FROM generate_series(1, 3000) n")
    shell.run("SELECT pg_stat_force_next_flush()")
    before = scans(shell)

    shell.run("UPDATE stock_level SET on_hand = 1 WHERE part_id = ANY (SELECT 'p' || n FROM generate_series(1, 200) n)")

    shell.run("SELECT pg_stat_force_next_flush()")
    assert scans(shell) == before
    shell.close()


def scans(shell: Shell) -> list[tuple[Any, ...]]:
    """Sequential scans of the tables that grow."""
    return shell.run(
        "SELECT relname, seq_scan FROM pg_stat_user_tables"
        " WHERE relname = 'stock_movement' OR relname ~ '^change_log_0' ORDER BY 1"
    )
