"""A single-level write reads without locks and writes only the version it read; conflicts are decided under locks."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest

from chassis.errors import PartstreamError, VersionConflict
from inventory_svc.domain import commands
from inventory_svc.domain.stock import MovementKind, Origin, StockLevel
from inventory_svc.errors import InsufficientStock
from inventory_svc.writer import batch
from inventory_svc.writer.group_commit import Writer
from inventory_svc.writer.pending_write import PendingWrite, WriteResult
from tests.inventory_svc.running import check_books

ANYBODY = "00000000-0000-0000-0000-000000000000"
BOLT = ("bolt", "main")


class Kept:
    """A response whose bytes are its stock and version."""

    def __init__(self, level: StockLevel) -> None:
        self.level = level

    def SerializeToString(self) -> bytes:  # noqa: N802
        return f"{self.level.on_hand}@{self.level.version}".encode()


def write(command: commands.Command, request_id: str = "", body: bytes = b"body") -> PendingWrite:
    origin = Origin(ANYBODY, "anonymous", request_id=request_id or str(uuid.uuid4()))
    return PendingWrite(command, origin, body, Kept, 1, asyncio.get_running_loop().create_future())


def adjust(delta: int) -> commands.AdjustStock:
    return commands.AdjustStock(BOLT, delta, MovementKind.ADJUSTED, "why")


def count(on_hand: int, expected: int | None) -> commands.SetStock:
    return commands.SetStock(BOLT, on_hand, expected, expected is None, allow_missing=False, reason="counted")


class Watched:
    """The writer's connection: records the queries, and runs a callback between the read and the write."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.asked: list[str] = []
        self.between: Callable[[], None] = lambda: None
        self.loses_acknowledgement = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def execute(self, query: str, *arguments: Any) -> Any:
        self.asked.append(query.split(maxsplit=1)[0])
        return await self._connection.execute(query, *arguments)

    async def fetchrow(self, query: str, *arguments: Any) -> Any:
        row = await self._connection.fetchrow(query, *arguments)
        self.asked.append("open" if "inventory_open" in query else "read")
        if self.asked[-1] == "read":
            self.between()
        return row

    async def fetch(self, query: str, *arguments: Any) -> Any:
        self.asked.append("write one" if "write_one" in query else "write")
        done = await self._connection.fetch(query, *arguments)
        if self.loses_acknowledgement:
            self._connection.terminate()
            message = "connection lost"
            raise ConnectionResetError(message)
        return done


@asynccontextmanager
async def open_writer(dsn: str) -> AsyncIterator[tuple[Writer, Watched]]:
    """A writer with ten bolts, whose user is known already."""
    by_hand(dsn, "INSERT INTO stock_level (part_id, location_id, on_hand) VALUES ('bolt', 'main', 10)")
    writer = Writer(dsn, on_commit=lambda: None)
    writer.start()
    await writer.submit(write(adjust(0)))
    watched = Watched(await writer.connected())
    writer._connection = watched
    yield writer, watched
    await writer.stop()
    check_books(dsn)


def by_hand(dsn: str, query: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as shell:
        shell.execute(query.encode())


async def test_a_single_level_write_takes_two_round_trips(inventory_dsn: str) -> None:
    async with open_writer(inventory_dsn) as (writer, watched):
        result = await writer.submit(write(adjust(-4)))

    assert watched.asked == ["read", "write one"]
    assert (result.stored_response, result.replayed) == (b"6@3", False)


async def test_a_concurrent_write_is_taken_into_account(inventory_dsn: str) -> None:
    async with open_writer(inventory_dsn) as (writer, watched):
        watched.between = lambda: by_hand(inventory_dsn, "UPDATE stock_level SET on_hand = on_hand - 3")
        result = await writer.submit(write(adjust(-4)))

    assert watched.asked == ["read", "write one", "BEGIN", "open", "write", "COMMIT"]
    assert result.stored_response == b"3@4"


async def test_the_last_units_are_not_sold_to_the_slower_one(inventory_dsn: str) -> None:
    async with open_writer(inventory_dsn) as (writer, watched):
        watched.between = lambda: by_hand(inventory_dsn, "UPDATE stock_level SET on_hand = on_hand - 9")
        with pytest.raises(InsufficientStock):
            await writer.submit(write(adjust(-2)))


async def test_a_refusal_is_never_taken_from_an_old_reading(inventory_dsn: str) -> None:
    async with open_writer(inventory_dsn) as (writer, watched):
        watched.between = lambda: by_hand(inventory_dsn, "UPDATE stock_level SET on_hand = on_hand + 5")
        result = await writer.submit(write(adjust(-12)))

    assert result.stored_response == b"3@4"


async def test_a_version_that_was_right_a_moment_ago_conflicts(inventory_dsn: str) -> None:
    async with open_writer(inventory_dsn) as (writer, watched):
        watched.between = lambda: by_hand(inventory_dsn, "UPDATE stock_level SET on_hand = 7")
        with pytest.raises(VersionConflict) as refusal:
            await writer.submit(write(count(50, expected=2)))

    current = refusal.value.current
    assert isinstance(current, StockLevel)
    assert (current.on_hand, current.version) == (7, 3)


async def test_a_location_archived_meanwhile_takes_nothing_in(inventory_dsn: str) -> None:
    by_hand(inventory_dsn, "INSERT INTO location (location_id, name) VALUES ('shed', 'Shed')")
    by_hand(inventory_dsn, "INSERT INTO stock_level (part_id, location_id) VALUES ('nut', 'shed')")
    async with open_writer(inventory_dsn) as (writer, watched):
        watched.between = lambda: by_hand(inventory_dsn, "UPDATE location SET archived_at = now() WHERE name = 'Shed'")
        with pytest.raises(PartstreamError) as refusal:
            await writer.submit(write(commands.AdjustStock(("nut", "shed"), 5, MovementKind.RECEIVED, "")))

    assert refusal.value.reason == "LOCATION_ARCHIVED"


async def test_an_acknowledgement_that_is_lost_is_found_again(inventory_dsn: str) -> None:
    async with open_writer(inventory_dsn) as (writer, watched):
        watched.loses_acknowledgement = True
        result = await writer.submit(write(adjust(-1)))

    assert (result.stored_response, result.replayed) == (b"9@3", False)


async def test_a_repetition_gets_the_first_answer(inventory_dsn: str) -> None:
    request_id = str(uuid.uuid4())
    async with open_writer(inventory_dsn) as (writer, _):
        first = await writer.submit(write(adjust(-1), request_id))
        second = await writer.submit(write(adjust(-1), request_id))
        with pytest.raises(PartstreamError) as refusal:
            await writer.submit(write(adjust(-2), request_id, b"another body"))

    assert (first.stored_response, first.replayed) == (b"9@3", False)
    assert (second.stored_response, second.replayed, second.revision) == (b"9@3", True, first.revision)
    assert refusal.value.reason == "REQUEST_ID_REUSED"


async def test_a_repetition_and_a_race_are_no_errors_of_the_database(inventory_dsn: str) -> None:
    """Each left an ERROR in PostgreSQL's log, among which those that matter were not found."""
    errors: list[object] = []
    async with open_writer(inventory_dsn) as (writer, watched):

        async def note(query: Any) -> None:
            if query.exception is not None:
                errors.append(query.exception)

        watched.add_query_logger(note)
        first = await writer.submit(write(adjust(-1), request_id=(repeated := str(uuid.uuid4()))))
        again = await writer.submit(write(adjust(-1), request_id=repeated))
        watched.between = lambda: by_hand(inventory_dsn, "UPDATE stock_level SET on_hand = on_hand - 3")
        raced = await writer.submit(write(adjust(-1)))

    assert (again.stored_response, again.replayed) == (first.stored_response, True)
    assert raced.stored_response == b"5@5"
    assert errors == []


async def test_both_ways_write_the_same(inventory_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every accepted and refused single-level write once by each way; the ledger and the log cannot tell them apart."""

    async def under_locks(*_: object) -> None:
        return None

    def asked(at: int) -> list[commands.Command]:
        """Changes of ten bolts at a version."""
        counts = [count(20, at + 1), count(5, at - 1), count(0, None)]
        return [adjust(-3), adjust(-30), *counts, adjust(7), adjust(0)]

    async with open_writer(inventory_dsn) as (writer, _):
        alone = [await outcome_of(writer, command) for command in asked(2)]
        reset = await outcome_of(writer, count(10, None))
        monkeypatch.setattr(batch, "commit_single_level_write", under_locks)
        locked = [await outcome_of(writer, command) for command in asked(int(reset.partition(b"@")[2]))]

    assert [level.partition(b"@")[0] for level in alone] == [level.partition(b"@")[0] for level in locked]
    accepted = sum(b"@" in level for level in alone)
    rows = written(inventory_dsn)
    assert strip(rows[2 : 2 + accepted]) == strip(rows[-accepted:])


async def outcome_of(writer: Writer, command: commands.Command) -> bytes:
    try:
        result: WriteResult = await writer.submit(write(command))
    except PartstreamError as error:
        return error.reason.encode()
    return result.stored_response


def written(dsn: str) -> list[dict[str, Any]]:
    query = """SELECT jsonb_build_object('before', before, 'after', after, 'movements', details->'movements',
                      'actor', actor, 'source', source, 'operation', operation)
               FROM change_log WHERE entity = 'stock_level' ORDER BY revision"""
    with psycopg.connect(dsn, autocommit=True) as shell:
        return [row[0] for row in shell.execute(query)]


def strip(value: Any) -> Any:
    """The same without what differs from one moment to the next."""
    differing = {"version", "updated_at", "occurred_at", "request_id", "traceparent"}
    if isinstance(value, dict):
        return {key: strip(item) for key, item in value.items() if key not in differing}
    return [strip(item) for item in value] if isinstance(value, list) else value
