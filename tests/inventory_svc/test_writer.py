"""The writer: one transaction for many, a bad one alone, nothing applied for those who left, no endless queue."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest

from chassis.errors import Draining, InternalFault, Overloaded, PartstreamError
from inventory_svc.domain import commands
from inventory_svc.domain.stock import MovementKind, Origin, StockLevel
from inventory_svc.errors import InsufficientStock, LocationExists
from inventory_svc.writer import group_commit
from inventory_svc.writer.group_commit import Writer
from inventory_svc.writer.pending_write import PendingWrite, WriteResult
from tests.inventory_svc.running import check_books

ANYBODY = "00000000-0000-0000-0000-000000000000"


class Kept:
    """An result that remembers what it was made of."""

    def __init__(self, outcome: Any) -> None:
        self.outcome = outcome

    def SerializeToString(self) -> bytes:  # noqa: N802
        level = self.outcome
        return f"{level.on_hand}@{level.version}".encode() if isinstance(level, StockLevel) else b"done"


def write(command: Any, *, request_id: str = "", weight: int = 1) -> PendingWrite:
    origin = Origin(ANYBODY, "anonymous", request_id=request_id or str(uuid.uuid4()))
    return PendingWrite(command, origin, b"body", Kept, weight, asyncio.get_running_loop().create_future())


def adjust(delta: int, part: str = "bolt") -> commands.AdjustStock:
    return commands.AdjustStock((part, "main"), delta, MovementKind.ADJUSTED, "why")


@asynccontextmanager
async def open_writer(dsn: str) -> AsyncIterator[Writer]:
    with psycopg.connect(dsn, autocommit=True) as shell:
        shell.execute("INSERT INTO stock_level (part_id, location_id, on_hand) VALUES ('bolt', 'main', 10)")
    commits: list[int] = []
    writer = Writer(dsn, on_commit=lambda: commits.append(1))
    yield writer
    await writer.stop()
    check_books(dsn)


async def submitted(writer: Writer, *writes: PendingWrite) -> list[Any]:
    """Queue writes before the writer runs, so that they are one batch; results or errors in order."""
    calls = [asyncio.create_task(writer.submit(item)) for item in writes]
    await asyncio.sleep(0)
    writer.start()
    return await asyncio.gather(*calls, return_exceptions=True)


def transactions(dsn: str) -> list[int]:
    """How many movements each transaction of the service made."""
    query = """SELECT sum(jsonb_array_length(details->'movements'))::int FROM change_log
               WHERE source = 'service' GROUP BY transaction_id ORDER BY min(revision)"""
    with psycopg.connect(dsn, autocommit=True) as shell:
        return [row[0] for row in shell.execute(query)]


async def test_what_waits_is_one_transaction(inventory_dsn: str) -> None:
    async with open_writer(inventory_dsn) as writer:
        results: list[WriteResult] = await submitted(writer, *(write(adjust(1)) for _ in range(50)))

    assert [result.stored_response for result in results] == [f"{10 + n}@{1 + n}".encode() for n in range(1, 51)]
    assert transactions(inventory_dsn) == [50]


async def test_a_refused_request_costs_the_others_nothing(inventory_dsn: str) -> None:
    async with open_writer(inventory_dsn) as writer:
        results = await submitted(writer, write(adjust(-4)), write(adjust(-7)), write(adjust(-6)))

    assert [type(result) for result in results] == [WriteResult, InsufficientStock, WriteResult]
    assert transactions(inventory_dsn) == [2]


async def test_one_that_the_database_refuses_does_not_take_its_batch_down(inventory_dsn: str) -> None:
    """The unit_of_work does not know of the location, so that only the database can refuse it."""
    async with open_writer(inventory_dsn) as writer:
        poison = commands.CreateLocation("main", "Again")
        poison_job = write(poison)
        object.__setattr__(poison_job, "command", _Blind(poison))
        results = await submitted(writer, write(adjust(-1)), poison_job, write(adjust(-1)))

    assert [type(result) for result in results] == [WriteResult, LocationExists, WriteResult]
    assert transactions(inventory_dsn) == [1, 1]


def _Blind(command: commands.CreateLocation) -> commands.CreateLocation:  # noqa: N802
    """The same command, needing nothing to be looked at."""

    class BlindCreateLocation(commands.CreateLocation):
        def needs(self) -> commands.Needs:
            return commands.Needs()

    blind = BlindCreateLocation(command.location_id, command.name)
    from inventory_svc.commands import update_stock  # noqa: PLC0415

    update_stock._RULES[BlindCreateLocation] = update_stock._RULES[commands.CreateLocation]
    return blind


async def test_a_fault_of_ours_is_told_to_its_caller_only(inventory_dsn: str) -> None:
    def broken(_outcome: Any) -> Kept:
        message = "cannot be encoded"
        raise ValueError(message)

    async with open_writer(inventory_dsn) as writer:
        bad = write(adjust(-1))
        bad.encode = broken
        results = await submitted(writer, write(adjust(-1)), bad, write(adjust(-1)))

    assert [type(result) for result in results] == [WriteResult, InternalFault, WriteResult]


async def test_a_request_whose_caller_has_gone_is_not_applied(inventory_dsn: str) -> None:
    async with open_writer(inventory_dsn) as writer:
        gone = write(adjust(-1))
        call = asyncio.create_task(writer.submit(gone))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        (result,) = await submitted(writer, write(adjust(-2)))

    assert result.stored_response == b"8@2"


async def test_too_much_waiting_is_refused_at_once(inventory_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "MAX_WAITING_WEIGHT", 10)
    async with open_writer(inventory_dsn) as writer:
        results = await submitted_over_limit(writer)

    assert [type(result) for result in results] == [WriteResult, Overloaded]
    error = results[1]
    assert isinstance(error, PartstreamError)
    assert error.retry_after_seconds


async def submitted_over_limit(writer: Writer) -> list[Any]:
    first = asyncio.create_task(writer.submit(write(adjust(-1), weight=10)))
    await asyncio.sleep(0)
    second = await asyncio.gather(writer.submit(write(adjust(-1))), return_exceptions=True)
    writer.start()
    return [await first, *second]


async def test_stopping_finishes_what_waits_and_takes_nothing_new(inventory_dsn: str) -> None:
    async with open_writer(inventory_dsn) as writer:
        calls = [asyncio.create_task(writer.submit(write(adjust(1)))) for _ in range(600)]
        await asyncio.sleep(0)
        writer.start()
        stopping = asyncio.create_task(writer.stop())
        await asyncio.sleep(0)

        with pytest.raises(Draining):
            await writer.submit(write(adjust(1)))
        await stopping
        results = await asyncio.gather(*calls)

    assert results[-1].stored_response == b"610@601"


class LosesAcknowledgement:
    """A connection that breaks when the commit has arrived and its acknowledgement has not."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def execute(self, query: str, *arguments: Any) -> str:
        done: str = await self._connection.execute(query, *arguments)
        if query == "COMMIT":
            self._connection.terminate()
            message = "connection lost"
            raise ConnectionResetError(message)
        return done


async def test_an_answer_lost_with_its_connection_is_found_again(inventory_dsn: str) -> None:
    async with open_writer(inventory_dsn) as writer:
        broken: Any = LosesAcknowledgement(await writer.connected())
        writer._connection = broken
        (result,) = await submitted(writer, write(adjust(-1)))

    assert (result.stored_response, result.replayed) == (b"9@2", False)
    assert transactions(inventory_dsn) == [1]


async def test_a_row_locked_by_hand_blocks_nobody_else(inventory_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(group_commit._SERVER_SETTINGS, "lock_timeout", "100ms")
    async with open_writer(inventory_dsn) as writer:
        with psycopg.connect(inventory_dsn) as shell:
            shell.execute("INSERT INTO stock_level (part_id, location_id, on_hand) VALUES ('nut', 'main', 1)")
            shell.commit()
            shell.execute("SELECT 1 FROM stock_level WHERE part_id = 'bolt' FOR UPDATE")
            first = await submitted(writer, write(adjust(-1)), write(adjust(1, "nut")), write(adjust(-2)))
            monkeypatch.setattr(group_commit, "run_batch", None)  # a second look at the lock would fail
            second = await asyncio.gather(writer.submit(write(adjust(-1))), return_exceptions=True)

    assert [type(result) for result in first] == [Overloaded, WriteResult, Overloaded]
    assert [type(result) for result in second] == [Overloaded]


async def test_a_log_locked_by_hand_refuses_everybody_after_a_while(
    inventory_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(group_commit._SERVER_SETTINGS, "lock_timeout", "50ms")
    async with open_writer(inventory_dsn) as writer:
        with psycopg.connect(inventory_dsn) as shell:
            shell.execute("INSERT INTO stock_level (part_id, location_id, on_hand) VALUES ('nut', 'main', 1)")
            shell.execute("SET CONSTRAINTS ALL IMMEDIATE")
            results = await submitted(writer, write(adjust(-1)), write(adjust(-2)))

    assert [type(result) for result in results] == [Overloaded, Overloaded]
