"""Snapshot and watch over gRPC."""

from __future__ import annotations

from typing import Any

from chassis import errors
from partstream.changes.v1 import origin_pb2
from partstream.inventory.v1 import stock_service_pb2 as pb
from tests.inventory_svc.running import Running, refusal


async def snapshot(stub: Any, **more: str) -> list[pb.SnapshotStockResponse]:
    return [message async for message in stub.SnapshotStock(pb.SnapshotStockRequest(**more))]


async def test_a_snapshot_begins_with_its_cursor_and_has_every_level(inventory: Running) -> None:
    for part in ("a", "b", "c"):
        await inventory.have(1, part_id=part)
    await inventory.staff.ArchiveStock(pb.ArchiveStockRequest(part_id="b"))

    first, *pages = await snapshot(inventory.staff)

    assert first.cursor
    assert not first.levels
    assert [level.part_id for page in pages for level in page.levels] == ["a", "b", "c"]
    assert pages[-1].resume_key == "c/main"
    _, *rest = await snapshot(inventory.staff, start_after="a/main")
    assert [level.part_id for page in rest for level in page.levels] == ["b", "c"]


async def test_a_snapshot_and_the_changes_after_it_are_the_whole_truth(inventory: Running) -> None:
    part = await inventory.have(1)
    first, *pages = await snapshot(inventory.staff)
    known = {level.part_id: level.on_hand for page in pages for level in page.levels}
    await inventory.staff.AdjustStock(pb.AdjustStockRequest(part_id=part, delta=4, reason="x"))

    watch: Any = inventory.staff.WatchStock(pb.WatchStockRequest(cursor=first.cursor))
    assert (await watch.read()).cursor == first.cursor
    message = await watch.read()
    watch.cancel()

    (change,) = message.changes
    assert known[part] == change.before.on_hand
    assert change.after == await inventory.level(part)
    assert change.operation == origin_pb2.OPERATION_UPDATED
    assert [movement.on_hand_delta for movement in change.movements] == [4]
    assert (change.origin.actor.username, change.origin.source, change.origin.reason) == ("admin", "service", "x")


async def test_a_change_by_hand_reaches_watchers_with_the_role_as_actor(inventory: Running) -> None:
    part = await inventory.have(1)
    cursor = (await inventory.staff.GetStock(pb.GetStockRequest(part_id=part))).revision_token
    watch: Any = inventory.staff.WatchStock(pb.WatchStockRequest(part_ids=[part], cursor=cursor))
    await watch.read()

    inventory.sql("UPDATE stock_level SET on_hand = 77 WHERE part_id = %s", part)
    message = await watch.read()
    watch.cancel()

    (change,) = message.changes
    assert (change.after.on_hand, change.origin.source, change.origin.actor.username) == (77, "sql", "inventory")
    assert change.after.last_updated_by.username == "inventory"


async def test_locations_are_in_the_stream_too(inventory: Running) -> None:
    watch: Any = inventory.staff.WatchStock(pb.WatchStockRequest())
    await watch.read()
    await inventory.staff.CreateLocation(pb.CreateLocationRequest(location_id="berlin", name="Berlin"))

    (change,) = (await watch.read()).changes
    watch.cancel()

    assert (change.entity, change.entity_id, change.location.after.name) == ("location", "berlin", "Berlin")


async def test_a_cursor_that_cannot_be_read_is_said_so(inventory: Running) -> None:
    watch: Any = inventory.public.WatchStock(pb.WatchStockRequest(cursor="nonsense"))

    assert isinstance(await refusal(watch.read()), errors.CursorMalformed)
