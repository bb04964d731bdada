"""Pages of the trail: newest first, each row once, by part, actor, service and time."""

from datetime import timedelta

from chassis.database import Database
from partstream.inventory.v1.reservation_pb2 import Reservation
from partstream.inventory.v1.stock_service_pb2 import WatchStockResponse
from tasks.audit.convert import rows_of
from tasks.audit.queries import ChangeFilter, PageKey, RecordedChange, list_changes
from tasks.audit.store import AuditStore, Batch
from tests.tasks.entries import BEGAN, EPOCH, batch, part_change, part_response, stock_change

USER_ID = "11111111-2222-3333-4444-555555555555"


async def all_pages(audit: Database, wanted: ChangeFilter, page_size: int) -> list[RecordedChange]:
    found: list[RecordedChange] = []
    after: PageKey | None = None
    while True:
        page = await list_changes(audit, wanted, page_size=page_size, after=after)
        found += page.items
        after = page.next_key
        if after is None:
            return found


async def test_pages_show_each_row_once_newest_first(audit: Database, store: AuditStore) -> None:
    await store.record(batch(1, 25, movements=3))

    found = await all_pages(audit, ChangeFilter(), page_size=7)

    assert [(item.revision, item.ordinal) for item in found] == [
        (revision, ordinal) for revision in range(25, 0, -1) for ordinal in (2, 1, 0)
    ]


async def test_pages_continue_over_months(audit: Database, store: AuditStore) -> None:
    await store.record(batch(1, 6, began=BEGAN.replace(day=1, hour=0) - timedelta(milliseconds=4)))

    found = await all_pages(audit, ChangeFilter(), page_size=2)

    assert [item.revision for item in found] == [6, 5, 4, 3, 2, 1]


async def test_a_full_last_page_is_the_last(audit: Database, store: AuditStore) -> None:
    await store.record(batch(1, 4))

    page = await list_changes(audit, ChangeFilter(), page_size=4)

    assert (len(page.items), page.next_key) == (4, None)


async def test_the_key_of_a_guest_s_cart_is_not_shown(audit: Database, store: AuditStore) -> None:
    """Rows from before the keys were hashed hold them in clear text, and are append-only."""
    changes = []
    for revision, owner in enumerate(("3f1c9a52e0b84d7f9a6612c04be8d1aa-in-clear", USER_ID), 1):
        change = stock_change(revision)
        del change.movements[:]
        change.entity = "reservation"
        change.reservation.before.CopyFrom(Reservation(reservation_id="r", owner=owner))
        change.reservation.after.CopyFrom(Reservation(reservation_id="r", owner=owner))
        changes.append(change)
    rows = rows_of("inventory", WatchStockResponse(changes=changes).SerializeToString())
    await store.record(Batch("inventory", EPOCH, 1, 2, rows))

    page = await list_changes(audit, ChangeFilter())

    owners = (
        [(item.old or {}).get("owner") for item in page.items],
        [(item.new or {}).get("owner") for item in page.items],
    )
    assert owners == ([USER_ID, ""], [USER_ID, ""])


async def test_filters_exclude_rows_that_do_not_match(audit: Database, store: AuditStore) -> None:
    changes = [stock_change(1, part_id="C1"), stock_change(2, part_id="C2"), stock_change(3, part_id="C1")]
    changes[2].movements[0].origin.actor.username = "replay"
    rows = rows_of("inventory", WatchStockResponse(changes=changes).SerializeToString())
    await store.record(Batch("inventory", EPOCH, 1, 3, rows))
    await store.record(Batch("content", EPOCH, 1, 1, rows_of("content", part_response(part_change(1)))))

    async def seen(wanted: ChangeFilter) -> list[tuple[str, int]]:
        page = await list_changes(audit, wanted)
        return [(item.service, item.revision) for item in page.items]

    assert await seen(ChangeFilter(part_id="C1")) == [("inventory", 3), ("content", 1), ("inventory", 1)]
    assert await seen(ChangeFilter(part_id="C1", service="inventory")) == [("inventory", 3), ("inventory", 1)]
    assert await seen(ChangeFilter(actor="replay")) == [("inventory", 3)]
    assert await seen(ChangeFilter(entity="part")) == [("content", 1)]
    since, until = BEGAN + timedelta(milliseconds=2), BEGAN + timedelta(milliseconds=3)
    assert await seen(ChangeFilter(since=since, until=until)) == [("inventory", 2)]
    assert await seen(ChangeFilter(part_id="C9")) == []


async def test_a_row_has_values_not_texts(audit: Database, store: AuditStore) -> None:
    await store.record(batch(1, 1))

    [item] = (await list_changes(audit, ChangeFilter())).items

    assert item.old == {"on_hand": 10, "reserved": 0, "version": 10}
    assert item.new == {"on_hand": 11, "reserved": 0, "version": 11}
    assert (item.changed_fields, item.operation, item.service) == (["on_hand"], "updated", "inventory")
    assert (item.actor, item.source, item.client_ip) == ("admin", "service", "203.0.113.7")
    assert item.details is not None
    assert item.details["kind"] == "adjusted"
