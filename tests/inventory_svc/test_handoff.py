"""Entries that the service commits reach its watchers by the hand-off, without a re-read, in the order of the log."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
import pytest

from changelog.handoff import ENTRIES_AT_MOST
from changelog.log_reader import TailConnection
from partstream.inventory.v1 import stock_service_pb2 as pb

if TYPE_CHECKING:
    from changelog.log_entry import LogEntry, LogPage
    from tests.inventory_svc.running import Running


class HeldTail:
    """Pages of the log's end that the tailer asks for, read at once and given only when the test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.may_go = asyncio.Event()
        self.asked = asyncio.Event()
        read = TailConnection.page

        async def page(tail: TailConnection, after: int, limit: int) -> LogPage:
            found = await read(tail, after, limit)
            self.asked.set()
            await self.may_go.wait()
            return found

        monkeypatch.setattr(TailConnection, "page", page)


async def changes(watch: Any, count: int) -> list[Any]:
    found: list[Any] = []
    async with asyncio.timeout(20):
        while len(found) < count:
            found += (await watch.read()).changes
    return found


async def adjust(inventory: Running, *parts: str) -> str:
    items = [pb.StockAdjustment(part_id=part, delta=1, reason="x") for part in parts]
    return (await inventory.staff.BatchAdjustStock(pb.BatchAdjustStockRequest(adjustments=items))).revision_token


async def begun(inventory: Running) -> Any:
    """A watch that has begun."""
    watch: Any = inventory.staff.WatchStock(pb.WatchStockRequest())
    await watch.read()
    return watch


async def test_what_was_committed_is_served_while_the_tailer_reads(
    inventory: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [await inventory.have(1) for _ in range(3)]
    watch = await begun(inventory)
    tail = HeldTail(monkeypatch)
    await tail.asked.wait()

    await adjust(inventory, parts[0])  # alone
    await adjust(inventory, *parts)  # in a batch
    served = await changes(watch, 4)
    tail.may_go.set()
    await adjust(inventory, *parts)
    served += await changes(watch, 3)
    watch.cancel()

    first = served[0].revision
    assert [change.revision for change in served] == list(range(first, first + 7))
    assert [change.version for change in served] == [2, 3, 2, 2, 4, 3, 3]


async def test_what_others_committed_before_comes_with_it(inventory: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    part = await inventory.have(1)
    watch = await begun(inventory)
    tail = HeldTail(monkeypatch)
    await tail.asked.wait()

    inventory.sql("UPDATE stock_level SET on_hand = 77 WHERE part_id = %s", part)
    await adjust(inventory, part)
    served = await changes(watch, 2)
    tail.may_go.set()
    await adjust(inventory, part)
    served += await changes(watch, 1)
    watch.cancel()

    assert [(change.origin.source, change.after.on_hand) for change in served] == [
        ("sql", 77),
        ("service", 78),
        ("service", 79),
    ]


async def test_more_than_fits_is_read_from_the_table(inventory: Running) -> None:
    parts = [await inventory.have(1) for _ in range(ENTRIES_AT_MOST + 1)]
    watch = await begun(inventory)

    await adjust(inventory, *parts)
    served = await changes(watch, len(parts))
    watch.cancel()

    assert {change.part_id for change in served} == set(parts)


async def newest(inventory: Running) -> LogEntry:
    """The newest entry of the log, taken into the window."""
    tailer = inventory.app.feed.tailer
    page = await tailer._reader.page(tailer.window.end - 1, 1)
    return page.entries[0]


@pytest.mark.parametrize("difference", [{"hash": b"other"}, {"revision": 1}, {"log_epoch": UUID(int=7)}])
async def test_another_history_is_not_taken(inventory: Running, difference: dict[str, Any]) -> None:
    await inventory.have(1)
    known = await newest(inventory)
    tailer = inventory.app.feed.tailer
    end = tailer.window.end
    following = msgspec.structs.replace(known, revision=end + 1, hash=b"next")

    assert not tailer.take([msgspec.structs.replace(known, **difference), following])
    assert not tailer.take([known])
    assert not tailer.take([])
    assert tailer.window.end == end

    assert tailer.take([known, following])
    assert tailer.window.end == end + 1


async def test_nothing_is_taken_while_the_log_is_lost_sight_of(inventory: Running) -> None:
    await inventory.have(1)
    known = await newest(inventory)
    tailer = inventory.app.feed.tailer
    tailer.is_certain = False

    assert not tailer.take([known, msgspec.structs.replace(known, revision=known.revision + 1)])


async def test_an_entry_that_cannot_be_serialised_is_left_to_the_tailer(
    inventory: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    await inventory.have(1)
    known = await newest(inventory)
    tailer = inventory.app.feed.tailer
    strange = msgspec.structs.replace(known, revision=known.revision + 1, entity="strange")

    assert not tailer.take([known, strange])
    assert tailer.window.end == known.revision
