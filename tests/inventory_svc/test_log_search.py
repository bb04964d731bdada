"""Entries of some parts are found in a log of many others: whole, in order, page by page, and soon."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from changelog import log_reader
from chassis.channels import open_channel
from chassis.tokens import SERVICE_PERMISSIONS
from partstream.changes.v1.change_log_service_pb2 import ListEntriesRequest
from partstream.changes.v1.change_log_service_pb2_grpc import ChangeLogServiceStub
from partstream.inventory.v1 import stock_service_pb2 as pb
from tests.inventory_svc.running import ADMIN_ID, Running, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

# A part, counted twice with very many entries of others between: as many as a shop's year has. Their hashes are not
# made, because nothing here looks at them.
RARE = "INSERT INTO stock_level (part_id, location_id, on_hand) VALUES ('rare', 'main', 1)"
COUNT = "UPDATE stock_level SET on_hand = on_hand + 1 WHERE part_id = 'rare'"
OTHERS = """
BEGIN;
ALTER TABLE change_log DISABLE TRIGGER change_log_is_written_by_commits;
INSERT INTO change_log
SELECT l.revision + n, l.epoch, l.revision + n, l.entity, 'other-' || n % 5000 || '/main', n, 'updated',
       l.after, l.after, l.details, l.actor, l.actor_name, l.source, '', '', '', '', now(), sha256('')
FROM (SELECT * FROM change_log ORDER BY revision DESC LIMIT 1) AS l, generate_series(1, HALF) AS n;
ALTER TABLE change_log ENABLE TRIGGER change_log_is_written_by_commits;
COMMIT
""".replace("HALF", str(150_000))


@pytest.fixture
async def busy(inventory_dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    """A service whose log is long; the part `rare` is in it three times."""
    connection = await asyncpg.connect(inventory_dsn)
    await connection.execute(RARE)
    await connection.execute(OTHERS)
    await connection.execute(COUNT)
    await connection.execute(OTHERS)
    await connection.execute(COUNT)
    await connection.fetchval("SELECT change_log_summarise()")
    await connection.close()
    async with running(inventory_dsn, tmp_path) as service:
        yield service


@asynccontextmanager
async def operator(service: Running) -> AsyncIterator[Any]:
    """The operators' view of a service's log."""
    token = service.key.mint(subject=ADMIN_ID, name="admin", permissions=SERVICE_PERMISSIONS)
    async with open_channel([f"127.0.0.1:{service.app.server.port}"], token=lambda: token) as channel:
        yield ChangeLogServiceStub(channel)


@pytest.fixture
async def log(inventory: Running) -> AsyncIterator[Any]:
    """The log of a service that has just begun."""
    async with operator(inventory) as stub:
        yield stub


async def adjust(inventory: Running, part_id: str, times: int) -> None:
    for number in range(times):
        await inventory.staff.AdjustStock(
            pb.AdjustStockRequest(part_id=part_id, location_id="main", delta=1, reason=f"{number}")
        )


async def pages(log: Any, cursor: str = "", **request: Any) -> tuple[list[Any], int]:
    """Every entry of a search, and how many pages it took."""
    entries: list[Any] = []
    count = 0
    while True:
        page = await log.ListEntries(ListEntriesRequest(cursor=cursor, **request))
        entries += page.entries
        cursor, count = page.cursor, count + 1
        if page.end:
            return entries, count


async def test_a_part_is_found_among_very_many_others_and_soon(busy: Running) -> None:
    async with operator(busy) as log:
        entries, count = await pages(log, part_id="rare", page_size=2)
        at_end = await log.ListEntries(ListEntriesRequest(part_id="rare", since=entries[1].commit_time))

    assert [(entry.entity_id, entry.version) for entry in entries] == [("rare/main", number) for number in (1, 2, 3)]
    assert count == 2  # a page that had run out of time on the way would have made it more
    assert [entry.version for entry in at_end.entries] == [2, 3]


async def test_a_part_that_was_never_there_is_answered_at_once(busy: Running) -> None:
    async with operator(busy) as log:
        response = await log.ListEntries(ListEntriesRequest(part_id="never-there"))

    assert not response.entries
    assert response.end  # of the whole log in one page, which ends sooner when its time is over


async def test_pages_lead_from_one_to_the_next_and_end(inventory: Running, log: Any) -> None:
    part_id, other = await inventory.have(1), await inventory.have(1)
    for _ in range(4):
        await adjust(inventory, part_id, 2)
        await adjust(inventory, other, 1)

    entries, count = await pages(log, part_id=part_id, page_size=2)

    assert [entry.version for entry in entries] == list(range(1, 10))
    assert count == 5


async def test_a_last_page_that_is_full_is_known_as_the_last(inventory: Running, log: Any) -> None:
    part_id, other = await inventory.have(1), await inventory.have(1)
    await adjust(inventory, part_id, 3)
    await adjust(inventory, other, 1)

    entries, count = await pages(log, part_id=part_id, page_size=2)

    assert [entry.version for entry in entries] == [1, 2, 3, 4]
    assert count == 2


async def test_what_comes_after_the_last_page_is_found_from_its_cursor(inventory: Running, log: Any) -> None:
    part_id, other = await inventory.have(1), await inventory.have(1)
    newest = await log.ListEntries(ListEntriesRequest(part_id=part_id))
    await adjust(inventory, other, 2)
    await adjust(inventory, part_id, 1)

    later = await log.ListEntries(ListEntriesRequest(part_id=part_id, cursor=newest.cursor))

    assert [(entry.entity_id, entry.version) for entry in later.entries] == [(f"{part_id}/main", 2)]
    assert later.end


async def test_some_parts_at_several_locations_come_in_order(inventory: Running, log: Any) -> None:
    await inventory.staff.CreateLocation(pb.CreateLocationRequest(location_id="north", name="North"))
    one, two, three = [await inventory.have(1) for _ in range(3)]
    await inventory.have(5, "north", one)
    await adjust(inventory, two, 1)
    await adjust(inventory, three, 1)
    await adjust(inventory, one, 1)

    found = await log.ListEntries(ListEntriesRequest(part_ids=[one, two]))
    both_ways = await log.ListEntries(ListEntriesRequest(part_ids=[one], part_id=two))
    many = await log.ListEntries(ListEntriesRequest(part_ids=[one, two, *(f"none-{number}" for number in range(98))]))

    ids = [entry.entity_id for entry in found.entries]
    assert ids == [f"{one}/main", f"{two}/main", f"{one}/north", f"{two}/main", f"{one}/main"]
    assert both_ways.entries == found.entries
    assert many.entries == found.entries


async def test_many_levels_are_found_though_each_is_no_condition_of_its_own(inventory: Running, log: Any) -> None:
    parts = [await inventory.have(1) for _ in range(40)]
    await inventory.have(1)

    found = await log.ListEntries(ListEntriesRequest(part_ids=parts))

    assert [entry.entity_id for entry in found.entries] == [f"{part_id}/main" for part_id in parts]


async def test_a_search_begins_at_a_time_and_knows_kinds(inventory: Running, log: Any) -> None:
    part_id = await inventory.have(1)
    await adjust(inventory, part_id, 3)
    everything = (await log.ListEntries(ListEntriesRequest(part_id=part_id))).entries

    later = await log.ListEntries(ListEntriesRequest(part_id=part_id, since=everything[2].commit_time))
    locations = await log.ListEntries(ListEntriesRequest(entity="location"))
    neither = await log.ListEntries(ListEntriesRequest(part_id=part_id, entity="location"))

    assert [entry.version for entry in later.entries] == [3, 4]
    assert [entry.entity_id for entry in locations.entries] == ["main"]
    assert not neither.entries


async def test_a_search_that_takes_too_long_answers_how_far_it_came(
    busy: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_reader, "_QUICK_SECONDS", 0.0)  # every window is the narrowest
    monkeypatch.setattr(log_reader, "SEARCH_SECONDS", 0.01)
    async with operator(busy) as log:
        first = await log.ListEntries(ListEntriesRequest(part_id="rare"))
        monkeypatch.undo()
        rest, _ = await pages(log, part_id="rare", cursor=first.cursor)

    assert [entry.version for entry in first.entries] == [1]
    assert not first.end
    assert [entry.version for entry in rest] == [2, 3]


async def test_a_search_finds_the_same_before_and_after_it_is_indexed(inventory: Running, log: Any) -> None:
    part_id, other = await inventory.have(1), await inventory.have(1)
    for _ in range(5):
        await adjust(inventory, part_id, 1)
        await adjust(inventory, other, 5)

    inventory.sql("SELECT brin_desummarize_range('change_log_000000000000_entity_id_idx', 0)")
    before = await log.ListEntries(ListEntriesRequest(part_id=part_id))
    assert inventory.sql("SELECT change_log_summarise() > 0") == [(True,)]
    after = await log.ListEntries(ListEntriesRequest(part_id=part_id))

    assert len(before.entries) == 6
    assert list(before.entries) == list(after.entries)
