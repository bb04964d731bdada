"""The commands ``events`` and ``log``, as a person runs them beside a running inventory service."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

import inventory_svc.app
from chassis.process_keys import TOOLS, entry
from chassis.tokens import SigningKey
from inventory_svc.settings import Settings
from stack import stack_state
from stack.checkout import ROOT
from stack.servers.ports import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NEW = "INSERT INTO stock_level (part_id, location_id, on_hand) VALUES (%s, 'main', 1)"
COUNT = "UPDATE stock_level SET on_hand = on_hand + 1 WHERE part_id = %s"
MIDDLE = "SELECT committed_at FROM change_log WHERE revision = 3"
# The owner of the database can do anything to the log; it shows.
OFF = "ALTER TABLE change_log DISABLE TRIGGER USER; ALTER TABLE change_log_000000000000 DISABLE TRIGGER USER"
FORGE = """
INSERT INTO change_log SELECT revision + 1, epoch, transaction_id, entity, 'forged/main', version, operation, before,
    after, details, actor, actor_name, source, client_ip, request_id, traceparent, reason, committed_at, hash
FROM change_log ORDER BY revision DESC LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Stack:
    """A service that runs and a data folder that says so."""

    folder: Path
    dsn: str

    def sql(self, query: str, *arguments: Any) -> Any:
        """Run SQL as the owner of the database; the first value, if there is one."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = connection.execute(query.encode(), arguments or None)
            row = cursor.fetchone() if cursor.description else None
            return row and row[0]

    async def begin(self, *arguments: str) -> asyncio.subprocess.Process:
        """A command in progress."""
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cli", *arguments, "--data-dir", str(self.folder)),
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def command(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, output and errors of a command."""
        process = await self.begin(*arguments)
        output, errors = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode(), errors.decode()

    async def events(self, *arguments: str) -> list[dict[str, Any]]:
        """Entries that ``events --json`` prints."""
        code, output, errors = await self.command("events", "--json", *arguments)
        assert code == 0, errors
        return [json.loads(line) for line in output.splitlines()]


@pytest.fixture
async def stack(inventory_dsn: str, tmp_path: Path) -> AsyncIterator[Stack]:
    """The location `main` and the parts A and B, each counted once: five entries."""
    key, tools = SigningKey.generate(), SigningKey.generate()
    key_file, tools_file = tmp_path / "signing.pem", tmp_path / "tools.pem"
    for file, held in ((key_file, key), (tools_file, tools)):
        file.write_bytes(held.pem())
        file.chmod(0o600)
    jwks, process_keys = tmp_path / "jwks.json", tmp_path / "processes.json"
    jwks.write_text(json.dumps(key.jwks()))
    process_keys.write_text(json.dumps({"keys": [entry(tools.jwk, TOOLS)]}))
    app = await inventory_svc.app.start(
        Settings(
            database_url=inventory_dsn,
            jwks=str(jwks),
            process_keys=str(process_keys),
            port=0,
            revocation_targets=None,
        )
    )
    made = Stack(tmp_path / "data", inventory_dsn)
    with stack_state.hold(made.folder):
        settings = {
            "PARTSTREAM_INVENTORY_TARGETS": f"127.0.0.1:{app.server.port}",
            "PARTSTREAM_CONTENT_TARGETS": f"127.0.0.1:{free_port()}",
            "PARTSTREAM_SIGNING_KEY_FILE": str(key_file),
            "PARTSTREAM_CREDENTIAL_FILE": str(tools_file),
        }
        databases = {"inventory": inventory_dsn}
        stack_state.write(made.folder, stack_state.StackState(os.getpid(), [], databases, settings))
        for query in (NEW, COUNT):
            for part_id in ("A", "B"):
                made.sql(query, part_id)
        yield made
    await app.stop()


def told(entries: list[dict[str, Any]]) -> list[tuple[str, int]]:
    return [(entry["entity_id"], int(entry["version"])) for entry in entries]


async def test_events_are_printed_for_people_and_for_programs(stack: Stack) -> None:
    code, output, _ = await stack.command("events")
    entries = await stack.events()

    assert code == 0
    first, *_, last = output.splitlines()
    assert "+ location main v1" in first
    assert "~ stock_level B/main v2 on_hand: 1 → 2 inventory by sql" in last
    assert told(entries) == [("main", 1), ("A/main", 1), ("B/main", 1), ("A/main", 2), ("B/main", 2)]


async def test_events_begin_at_a_cursor_or_a_time_and_are_of_some_parts(stack: Stack) -> None:
    entries = await stack.events()
    since = stack.sql(MIDDLE).isoformat()

    after_cursor, after_time, of_a, of_both, of_none = [
        told(await stack.events(*arguments))
        for arguments in (
            ("--from", entries[1]["cursor"]),
            ("--from", since),
            ("--part", "A", "--from", since),
            ("--part", "A", "--part", "B"),
            ("--part", "none-such"),
        )
    ]

    assert after_cursor == after_time == told(entries)[2:]
    assert of_a == [("A/main", 2)]
    assert of_both == told(entries)[1:]
    assert not of_none


async def test_events_that_cannot_begin_there_say_why(stack: Stack) -> None:
    code, output, errors = await stack.command("events", "--from", "nonsense")

    assert (code, output) == (1, "")
    assert errors.startswith("CURSOR_MALFORMED")
    assert "Traceback" not in errors


async def test_events_are_followed_as_they_come(stack: Stack) -> None:
    process = await stack.begin("events", "--follow", "--json", "--part", "B")
    assert process.stdout is not None
    try:
        before = [json.loads(await process.stdout.readline()) for _ in range(2)]
        stack.sql(COUNT, "A")
        stack.sql(COUNT, "B")
        after = json.loads(await process.stdout.readline())
    finally:
        process.terminate()  # not SIGINT, which is ignored by whatever was started in the background of a shell
        await process.communicate()

    assert told([*before, after]) == [("B/main", 1), ("B/main", 2), ("B/main", 3)]


async def test_a_log_is_verified_against_a_checkpoint(stack: Stack) -> None:
    code, checkpoint, _ = await stack.command("log", "checkpoint", "--service", "inventory")
    kept = stack.folder / "checkpoint.json"
    kept.write_text(checkpoint)
    stack.sql(COUNT, "A")

    whole = await stack.command("log", "verify", "--service", "inventory", "--against", str(kept))
    stack.sql(OFF)
    stack.sql("DELETE FROM change_log WHERE revision > 3")
    walked = await stack.command("log", "verify", "--service", "inventory")
    compared = await stack.command("log", "verify", "--service", "inventory", "--against", str(kept))
    kept.write_text(checkpoint.replace('"revision": 5', '"revision": 3'))
    forged = await stack.command("log", "verify", "--service", "inventory", "--against", str(kept))

    assert code == 0
    assert (whole[0], whole[1].partition(" (")[0]) == (0, "inventory: 6 entries fit")
    # What is left of the chain is whole; the checkpoint knows that there was more, and so do the rows.
    assert (walked[0], "stock_level A/main: the row is not as its last entry says" in walked[2]) == (1, True)
    assert "does not fit" not in walked[2]
    assert (compared[0], "revision 5 does not fit" in compared[2]) == (1, True)
    assert (forged[0], "not signed with this key" in forged[2]) == (1, True)


@pytest.mark.parametrize(
    ("tampering", "first_bad"),
    [
        ("UPDATE change_log SET reason = 'nothing to see' WHERE revision = 4", 4),
        ("DELETE FROM change_log WHERE revision = 2", 2),
        (FORGE, 6),
    ],
    ids=["changed", "deleted", "inserted"],
)
async def test_what_the_owner_of_the_database_does_to_the_log_is_found(
    stack: Stack, tampering: str, first_bad: int
) -> None:
    stack.sql(OFF)
    stack.sql(tampering)

    code, _, errors = await stack.command("log", "verify", "--service", "inventory")

    assert code == 1
    assert f"revision {first_bad} does not fit" in errors


async def test_whoever_has_read_enough_sees_no_traceback(stack: Stack) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli", "log", "verify", "--service", "inventory"),
        *("--data-dir", str(stack.folder)),
        cwd=ROOT,
        stdout=writing,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(writing)
    _, errors = await process.communicate()

    assert (process.returncode, errors) == (141, b"")


async def test_stored_control_characters_are_printed_as_escapes(stack: Stack) -> None:
    """A reason with a line break looked like an entry of its own, and one with ESC spoke to the terminal."""
    stack.sql("SET partstream.reason = E'found)\\n  9999 2026 forged\\x1b[2J\\u202e'; " + NEW.replace("%s", "'E1'"))

    code, output, _ = await stack.command("events", "--part", "E1")
    _, document, _ = await stack.command("events", "--part", "E1", "--json")

    (line,) = output.splitlines()
    assert code == 0
    assert r"(found)\n  9999 2026 forged\x1b[2J\u202e)" in line
    (entry,) = (json.loads(text) for text in document.splitlines())
    assert entry["origin"]["reason"] == "found)\n  9999 2026 forged\x1b[2J\u202e"
    assert document.isprintable() or not set(document) & {"\x1b", "\u202e"}
