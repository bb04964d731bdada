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
from inventory_svc import writer as writer_module
from inventory_svc.domain import intents
from inventory_svc.domain.stock import MovementKind, Origin, StockLevel
from inventory_svc.errors import InsufficientStock, LocationExists
from inventory_svc.job import Answer, Job
from inventory_svc.writer import Writer
from tests.inventory_svc.running import check_books

ANYBODY = "00000000-0000-0000-0000-000000000000"


class Kept:
    """An answer that remembers what it was made of."""

    def __init__(self, outcome: Any) -> None:
        self.outcome = outcome

    def SerializeToString(self) -> bytes:  # noqa: N802
        level = self.outcome
        return f"{level.on_hand}@{level.version}".encode() if isinstance(level, StockLevel) else b"done"


def job(intent: Any, *, request_id: str = "", weight: int = 1) -> Job:
    origin = Origin(ANYBODY, "anonymous", request_id=request_id or str(uuid.uuid4()))
    return Job(intent, origin, b"body", Kept, weight, asyncio.get_running_loop().create_future())


def adjust(delta: int, part: str = "bolt") -> intents.AdjustStock:
    return intents.AdjustStock((part, "main"), delta, MovementKind.ADJUSTED, "why")


@asynccontextmanager
async def open_writer(dsn: str) -> AsyncIterator[Writer]:
    with psycopg.connect(dsn, autocommit=True) as shell:
        shell.execute("INSERT INTO stock_level (part_id, location_id, on_hand) VALUES ('bolt', 'main', 10)")
    commits: list[int] = []
    writer = Writer(dsn, on_commit=lambda: commits.append(1))
    yield writer
    await writer.stop()
    check_books(dsn)


async def submitted(writer: Writer, *jobs: Job) -> list[Any]:
    """Queue jobs before the writer runs, so that they are one batch; answers or errors in order."""
    calls = [asyncio.create_task(writer.submit(item)) for item in jobs]
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
        answers: list[Answer] = await submitted(writer, *(job(adjust(1)) for _ in range(50)))

    assert [answer.kept for answer in answers] == [f"{10 + n}@{1 + n}".encode() for n in range(1, 51)]
    assert transactions(inventory_dsn) == [50]


async def test_a_refused_request_costs_the_others_nothing(inventory_dsn: str) -> None:
    async with open_writer(inventory_dsn) as writer:
        answers = await submitted(writer, job(adjust(-4)), job(adjust(-7)), job(adjust(-6)))

    assert [type(answer) for answer in answers] == [Answer, InsufficientStock, Answer]
    assert transactions(inventory_dsn) == [2]


async def test_one_that_the_database_refuses_does_not_take_its_batch_down(inventory_dsn: str) -> None:
    """The book does not know of the location, so that only the database can refuse it."""
    async with open_writer(inventory_dsn) as writer:
        poison = intents.CreateLocation("main", "Again")
        poison_job = job(poison)
        object.__setattr__(poison_job, "intent", _Blind(poison))
        answers = await submitted(writer, job(adjust(-1)), poison_job, job(adjust(-1)))

    assert [type(answer) for answer in answers] == [Answer, LocationExists, Answer]
    assert transactions(inventory_dsn) == [1, 1]


def _Blind(intent: intents.CreateLocation) -> intents.CreateLocation:  # noqa: N802
    """The same intent, needing nothing to be looked at."""

    class BlindCreateLocation(intents.CreateLocation):
        def needs(self) -> intents.Needs:
            return intents.Needs()

    blind = BlindCreateLocation(intent.location_id, intent.name)
    from inventory_svc.domain import decide  # noqa: PLC0415

    decide._RULES[BlindCreateLocation] = decide._RULES[intents.CreateLocation]
    return blind


async def test_a_fault_of_ours_is_told_to_its_caller_only(inventory_dsn: str) -> None:
    def broken(_outcome: Any) -> Kept:
        message = "cannot be encoded"
        raise ValueError(message)

    async with open_writer(inventory_dsn) as writer:
        bad = job(adjust(-1))
        bad.encode = broken
        answers = await submitted(writer, job(adjust(-1)), bad, job(adjust(-1)))

    assert [type(answer) for answer in answers] == [Answer, InternalFault, Answer]


async def test_a_request_whose_caller_has_gone_is_not_applied(inventory_dsn: str) -> None:
    async with open_writer(inventory_dsn) as writer:
        gone = job(adjust(-1))
        call = asyncio.create_task(writer.submit(gone))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        (answer,) = await submitted(writer, job(adjust(-2)))

    assert answer.kept == b"8@2"


async def test_too_much_waiting_is_refused_at_once(inventory_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "MAX_WAITING_WEIGHT", 10)
    async with open_writer(inventory_dsn) as writer:
        answers = await submitted_over_limit(writer)

    assert [type(answer) for answer in answers] == [Answer, Overloaded]
    error = answers[1]
    assert isinstance(error, PartstreamError)
    assert error.retry_after_seconds


async def submitted_over_limit(writer: Writer) -> list[Any]:
    first = asyncio.create_task(writer.submit(job(adjust(-1), weight=10)))
    await asyncio.sleep(0)
    second = await asyncio.gather(writer.submit(job(adjust(-1))), return_exceptions=True)
    writer.start()
    return [await first, *second]


async def test_stopping_finishes_what_waits_and_takes_nothing_new(inventory_dsn: str) -> None:
    async with open_writer(inventory_dsn) as writer:
        calls = [asyncio.create_task(writer.submit(job(adjust(1)))) for _ in range(600)]
        await asyncio.sleep(0)
        writer.start()
        stopping = asyncio.create_task(writer.stop())
        await asyncio.sleep(0)

        with pytest.raises(Draining):
            await writer.submit(job(adjust(1)))
        await stopping
        answers = await asyncio.gather(*calls)

    assert answers[-1].kept == b"610@601"


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
        (answer,) = await submitted(writer, job(adjust(-1)))

    assert (answer.kept, answer.replayed) == (b"9@2", False)
    assert transactions(inventory_dsn) == [1]


async def test_a_row_locked_by_hand_blocks_nobody_else(inventory_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(writer_module._SERVER_SETTINGS, "lock_timeout", "100ms")
    async with open_writer(inventory_dsn) as writer:
        with psycopg.connect(inventory_dsn) as shell:
            shell.execute("INSERT INTO stock_level (part_id, location_id, on_hand) VALUES ('nut', 'main', 1)")
            shell.commit()
            shell.execute("SELECT 1 FROM stock_level WHERE part_id = 'bolt' FOR UPDATE")
            first = await submitted(writer, job(adjust(-1)), job(adjust(1, "nut")), job(adjust(-2)))
            monkeypatch.setattr(writer_module, "run_batch", None)  # a second look at the lock would fail
            second = await asyncio.gather(writer.submit(job(adjust(-1))), return_exceptions=True)

    assert [type(answer) for answer in first] == [Overloaded, Answer, Overloaded]
    assert [type(answer) for answer in second] == [Overloaded]


async def test_a_log_locked_by_hand_refuses_everybody_after_a_while(
    inventory_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(writer_module._SERVER_SETTINGS, "lock_timeout", "50ms")
    async with open_writer(inventory_dsn) as writer:
        with psycopg.connect(inventory_dsn) as shell:
            shell.execute("INSERT INTO stock_level (part_id, location_id, on_hand) VALUES ('nut', 'main', 1)")
            shell.execute("SET CONSTRAINTS ALL IMMEDIATE")
            answers = await submitted(writer, job(adjust(-1)), job(adjust(-2)))

    assert [type(answer) for answer in answers] == [Overloaded, Overloaded]
