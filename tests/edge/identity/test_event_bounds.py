"""Bounds of the security events that callers without an account can cause."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

import asyncpg
import httpx
import pytest

from chassis.database import Database
from edge.app import Edge
from edge.identity import repeated_events
from edge.identity.repeated_events import EventRow, RepeatedEvents
from edge.identity.security_events import bounded
from edge.identity.upkeep import IdentityUpkeep
from stack.checkout import ROOT
from tests.edge.conftest import ADMIN, Keys

EVENT_BOUNDS = (ROOT / "edge" / "migrations" / "pre_0004_event_bounds.sql").read_text()
VISITOR = "6f0f8ad0-4c4b-4a08-9f0c-2c39f55bd3a5"
BYTES = "SELECT coalesce(sum(pg_column_size(e.*)), 0) FROM security_event AS e WHERE kind = $1"


class Clock:
    """Seconds since 1970, advanced by a test."""

    def __init__(self) -> None:
        self.now = 60_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(edge: Edge) -> Clock:
    """The clock by which the edge counts events, so that no minute ends during a test."""
    made = Clock()
    edge._repeated_events._clock = made
    return made


async def stored(edge: Edge, database: Database, kind: str) -> list[asyncpg.Record]:
    await edge._repeated_events.run_once()
    query = "SELECT * FROM security_event WHERE kind = $1 ORDER BY security_event_id"
    return list(await database.pool.fetch(query, kind))


async def test_bad_tokens_with_long_paths_do_not_fill_the_database(
    edge: Edge, client: httpx.AsyncClient, database: Database, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """300 requests with a path of 50 KB each (the longest is 8 KiB now) made an append-only table 15 MB larger."""
    caplog.set_level(logging.INFO, "edge")
    bad = {"Authorization": "Bearer x"}
    for number in range(30):
        response = await client.get(f"/parts/{number}{'A' * 8_000}", headers=bad)
        assert response.status_code == 401

    (row,) = await stored(edge, database, "denied")
    assert row["occurrences"] == 30
    assert row["last_at"] >= row["occurred_at"]
    assert await database.pool.fetchval(BYTES, "denied") < 1_000
    lines = [record for record in caplog.records if record.name.startswith("edge")]
    assert max(len(f"{record.message} {vars(record)}") for record in lines) < 3_000
    assert len([record for record in lines if record.name == "edge.security"]) == 1


async def test_attempts_on_unknown_names_are_one_row_and_on_a_known_one_another(
    edge: Edge, client: httpx.AsyncClient, database: Database, admin: httpx.AsyncClient, clock: Clock
) -> None:
    names = ["\uff21dm\u2160n" + "x" * 59, *(f"stranger-{number}" for number in range(6)), ADMIN, "ADMIN"]
    for name in names:
        response = await client.post("/auth/login", json={"username": name, "password": "wrong"})
        assert response.status_code == 401

    unknown, known = await stored(edge, database, "login_failed")
    assert (unknown["occurrences"], known["occurrences"]) == (7, 2)
    assert unknown["username"] == ("AdmIn" + "x" * 59)[:64]
    assert known["username"] == ADMIN
    found = (await admin.get("/admin/security-events", params={"kind": "login_failed", "username": ADMIN})).json()
    assert [(item["count"], item["client_ip"]) for item in found["items"]] == [(2, "192.0.2.1")]


async def test_denials_of_a_known_caller_are_separate_rows(
    edge: Edge, client: httpx.AsyncClient, database: Database, keys: Keys, clock: Clock
) -> None:
    token = {"Authorization": f"Bearer {keys.key.mint(subject=VISITOR, name='visitor')}"}
    for path in ("/admin/users", "/admin/users", "/admin/stock", "/admin/parts/A", "/admin/parts/B"):
        assert (await client.get(path, headers=token)).status_code == 403

    rows = await stored(edge, database, "denied")
    assert [row["occurrences"] for row in rows] == [2, 1, 2]


async def test_the_next_minute_and_another_network_are_other_rows(edge: Edge, database: Database, clock: Clock) -> None:
    repeated = edge._repeated_events

    def row(address: str) -> EventRow:
        return EventRow("denied", None, "", None, address, "", "{}")

    for address in ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"):
        await repeated.add(row(address), "")
    clock.now += 60
    await repeated.add(row("2001:db8::1"), "")

    assert [item["occurrences"] for item in await stored(edge, database, "denied")] == [2, 1, 1]
    assert len(repeated._counted) == 1


async def test_many_addresses_cause_a_bounded_number_of_rows(
    edge: Edge, database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repeated_events, "MOST_A_MINUTE", 3)
    for number in range(10):
        await edge._repeated_events.add(EventRow("denied", None, "x", None, f"192.0.2.{number}", "", "{}"), "")

    rows = await stored(edge, database, "denied")
    assert [(row["occurrences"], row["client_ip"]) for row in rows[:3]] == [(1, f"192.0.2.{n}") for n in range(3)]
    assert [(row["occurrences"], row["client_ip"], row["username"]) for row in rows[3:]] == [(7, "", "")]


async def test_two_edges_count_in_one_row(edge: Edge, database: Database, clock: Clock) -> None:
    other = RepeatedEvents(database, clock=clock)
    row = EventRow("denied", None, "", None, "192.0.2.1", "", "{}")

    await asyncio.gather(*(events.add(row, "") for events in (edge._repeated_events, other) for _ in range(5)))
    await other.run_once()

    assert [item["occurrences"] for item in await stored(edge, database, "denied")] == [10]


async def test_a_guest_who_signs_out_leaves_no_row(edge: Edge, client: httpx.AsyncClient, database: Database) -> None:
    for _ in range(3):
        await client.post("/auth/logout", json={"refresh_token": "x"})

    assert await stored(edge, database, "logged_out") == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE security_event SET username = 'x'",
        "UPDATE security_event SET occurrences = occurrences - 1",
        "UPDATE security_event SET occurrences = occurrences + 1, username = 'x'",
        "UPDATE security_event SET occurrences = occurrences + 1 WHERE aggregate IS NULL",
        "DELETE FROM security_event",
        "SELECT set_config('partstream.expiring', 'on', false); DELETE FROM security_event",
    ],
)
async def test_events_are_append_only(edge: Edge, database: Database, statement: str) -> None:
    row = EventRow("denied", None, "", None, "192.0.2.1", "", "{}")
    for _ in range(2):
        await edge._repeated_events.add(row, "")
    await edge._repeated_events.run_once()
    await database.pool.execute("INSERT INTO security_event (kind) VALUES ('other')")

    async with database.pool.acquire() as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await connection.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO security_event (kind, username) VALUES ('denied', repeat('x', 65))",
        "INSERT INTO security_event (kind, request_id) VALUES ('denied', repeat('x', 101))",
        "INSERT INTO security_event (kind, details) VALUES ('denied', jsonb_build_object('path', repeat('x', 8000)))",
        "INSERT INTO login_attempt (username, client_ip, succeeded) VALUES (repeat('x', 65), 'x', false)",
        "INSERT INTO login_attempt (username, client_ip, succeeded) VALUES ('x', repeat('x', 65), false)",
    ],
)
async def test_the_database_rejects_long_texts(database: Database, statement: str) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="texts_are_short"):
        await database.pool.execute(statement)


async def test_old_events_expire_and_that_is_recorded(database: Database) -> None:
    await database.pool.execute(
        """INSERT INTO security_event (kind, occurred_at)
        SELECT 'old', now() - interval '32 days' FROM generate_series(1, 3) UNION ALL SELECT 'new', now()"""
    )
    await database.pool.execute(
        """INSERT INTO login_attempt (username, client_ip, succeeded, attempted_at)
        VALUES ('x', 'x', false, now() - interval '3 hours')"""
    )

    for _ in range(2):
        await IdentityUpkeep(database, timedelta(days=30)).run_once()

    rows = await database.pool.fetch("SELECT kind, details FROM security_event ORDER BY security_event_id")
    assert [row["kind"] for row in rows] == ["new", "security_events_expired"]
    assert '"rows": "3"' in rows[1]["details"]
    assert await database.pool.fetchval("SELECT count(*) FROM login_attempt") == 0
    with pytest.raises(asyncpg.InvalidParameterValueError):
        await database.pool.execute("SELECT expire_security_events('1 hour', 10)")


async def test_the_migration_bounds_existing_long_texts(edge_dsn: str) -> None:
    connection = await asyncpg.connect(edge_dsn)
    await connection.execute(
        """ALTER TABLE security_event DROP COLUMN occurrences, DROP COLUMN last_at, DROP COLUMN aggregate CASCADE;
        ALTER TABLE security_event DROP CONSTRAINT IF EXISTS security_event_texts_are_short;
        ALTER TABLE login_attempt DROP CONSTRAINT login_attempt_texts_are_short;
        DROP FUNCTION expire_security_events;
        INSERT INTO security_event (kind, username) VALUES ('denied', repeat('x', 50000))"""
    )

    await connection.execute(EVENT_BOUNDS)

    assert await connection.fetchval("SELECT occurrences FROM security_event") == 1
    # As the release before this one records an event.
    await connection.execute("INSERT INTO security_event (kind, username) VALUES ('denied', 'x')")
    await connection.close()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("clerk", "clerk"),
        ("\uff43\uff4c\uff45\uff52\uff4b", "clerk"),
        ("a\nb\x1b[31m", "a\\nb\\x1b[31m"),
        ("x" * 10_000_000, "x" * 64),
        ("\n" * 100, "\\n" * 32),
    ],
)
def test_an_unverified_text_is_truncated_and_printable(text: str, expected: str) -> None:
    assert bounded(text, 64) == expected
