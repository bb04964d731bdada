"""Snapshots and watches."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
from google.protobuf.field_mask_pb2 import FieldMask

from chassis.channels import open_channel
from partstream.changes.v1 import origin_pb2
from partstream.changes.v1.change_log_service_pb2 import ListEntriesRequest
from partstream.changes.v1.change_log_service_pb2_grpc import ChangeLogServiceStub
from partstream.content.v1 import part_change_pb2, part_pb2
from partstream.content.v1 import part_service_pb2 as pb
from partstream.content.v1.part_service_pb2_grpc import ContentServiceStub
from tests.content_svc.running_service import USER_ID, RunningService, new_id, resistor

DRAFT, PUBLISHED, ARCHIVED = (
    part_pb2.PART_STATUS_DRAFT,
    part_pb2.PART_STATUS_PUBLISHED,
    part_pb2.PART_STATUS_ARCHIVED,
)


async def snapshot(stub: ContentServiceStub, start_after: str = "") -> list[pb.SnapshotPartsResponse]:
    call = stub.SnapshotParts(pb.SnapshotPartsRequest(start_after=start_after))
    return [message async for message in call]  # type: ignore[attr-defined]


async def test_staff_receive_the_change_its_actor_and_its_reason(service: RunningService, resistors: str) -> None:
    async with service.watching() as watching:
        created = await service.add_part(resistor(cost=part_pb2.Money(amount_minor=1, currency="USD")))
        request = pb.UpdatePartRequest(
            part=resistor(title="New"),
            update_mask=FieldMask(paths=["title"]),
            expected_version=1,
            comment="better",
            request_id=new_id(),
        )
        updated = (await service.staff.UpdatePart(request)).part

        first, second = await watching.changes(2)

    assert (first.operation, first.HasField("before"), first.after) == (origin_pb2.OPERATION_CREATED, False, created)
    assert (second.operation, second.before, second.after) == (origin_pb2.OPERATION_UPDATED, created, updated)
    assert (second.entity, second.entity_id, second.part_id, second.version) == ("part", "R1", "R1", 2)
    assert list(second.changed_fields) == ["title"]
    assert (second.origin.actor.user_id, second.origin.actor.username) == (USER_ID, "alice")
    assert (second.origin.source, second.origin.reason) == ("service", "better")
    assert second.origin.request_id == request.request_id
    assert second.revision == first.revision + 1


async def test_public_watchers_receive_published_parts_only(service: RunningService, resistors: str) -> None:
    async with service.watching(staff=False) as watching:
        await service.add_part(resistor("hidden", status=DRAFT))
        await service.add_part(resistor(status=DRAFT, cost=part_pb2.Money(amount_minor=1, currency="USD")))
        await service.update(resistor(status=PUBLISHED), "status", expected_version=1)
        await service.update(resistor(cost=part_pb2.Money(amount_minor=2, currency="USD")), "cost", expected_version=2)
        await service.update(resistor(title="New"), "title", expected_version=3)
        await service.update(resistor(status=ARCHIVED), "status", expected_version=4)
        await service.update(resistor(title="Unseen"), "title", expected_version=5)
        await service.update(resistor(status=PUBLISHED), "status", expected_version=6)

        changes = await watching.changes(5)

    assert [(change.operation, change.version, list(change.changed_fields)) for change in changes] == [
        (origin_pb2.OPERATION_CREATED, 2, ["status"]),
        (origin_pb2.OPERATION_UPDATED, 3, []),
        (origin_pb2.OPERATION_UPDATED, 4, ["title"]),
        (origin_pb2.OPERATION_DELETED, 5, []),
        (origin_pb2.OPERATION_CREATED, 7, ["status"]),
    ]
    assert [(change.HasField("before"), change.HasField("after")) for change in changes] == [
        (False, True),
        (True, True),
        (True, True),
        (False, False),
        (False, True),
    ]
    for change in changes:
        assert not change.HasField("origin")
        for state in (change.before, change.after):
            assert not state.HasField("cost")
            assert not state.HasField("updated_by")


async def test_changes_by_sql_reach_watchers(service: RunningService, resistors: str, sql: asyncpg.Connection) -> None:
    await service.add_part(resistor(images=[part_pb2.PartImage(url="/a.png")]))

    async with service.watching() as watching:
        await sql.execute("UPDATE part_image SET url = '/b.png'")
        (change,) = await watching.changes(1)

    assert (change.version, list(change.changed_fields), change.origin.source) == (2, ["images"], "sql")
    assert [image.url for image in change.after.images] == ["/b.png"]
    assert change.origin.actor.username == "content"


async def test_a_watch_of_some_parts_receives_no_other(service: RunningService, resistors: str) -> None:
    async with service.watching(part_ids=["R2"]) as watching:
        await service.add_part(resistor("R1"))
        await service.add_category("other", "Other")
        await service.add_part(resistor("R2"))
        (change,) = await watching.changes(1)

    assert change.part_id == "R2"


async def test_all_watchers_receive_categories(service: RunningService) -> None:
    async with service.watching(staff=False) as watching:
        await service.add_category("passives", "Passives")
        (change,) = await watching.changes(1)

    assert (change.entity, change.entity_id, change.part_id) == ("category", "passives", "")
    assert (change.category.after.name, change.category.HasField("before")) == ("Passives", False)


async def test_one_batch_is_one_message(service: RunningService, resistors: str) -> None:
    async with service.watching() as watching:
        parts = [resistor(f"R{number:03}") for number in range(200)]
        await service.staff.BatchUpsertParts(pb.BatchUpsertPartsRequest(parts=parts))
        message = await watching.next_message()

    assert (len(message.changes), message.fragment) == (200, False)


async def test_writes_of_one_replica_reach_reads_and_watchers_of_another(
    service: RunningService, replica: RunningService, resistors: str
) -> None:
    async with replica.watching() as watching:
        response = await service.staff.CreatePart(pb.CreatePartRequest(part=resistor()))
        seen = await replica.staff.GetPart(pb.GetPartRequest(part_id="R1", min_revision_token=response.revision_token))
        (change,) = await watching.changes(1)

    assert seen.part == response.part == change.after
    assert watching.cursor == response.revision_token


async def test_a_retry_at_another_replica_runs_once(
    service: RunningService, replica: RunningService, resistors: str
) -> None:
    request = pb.CreatePartRequest(part=resistor(), request_id=new_id())

    responses = await asyncio.gather(
        *(stub.CreatePart(request) for stub in (service.staff, replica.staff, service.staff, replica.staff))
    )

    assert sorted(response.replayed for response in responses) == [False, True, True, True]
    assert len({response.part.SerializeToString(deterministic=True) for response in responses}) == 1


async def test_a_watch_resumes_after_its_cursor(service: RunningService, resistors: str) -> None:
    async with service.watching() as watching:
        await service.add_part(resistor("R1"))
        await watching.changes(1)
    await service.add_part(resistor("R2"))

    async with service.watching(cursor=watching.cursor) as resumed:
        (change,) = await resumed.changes(1)

    assert change.part_id == "R2"


async def test_a_snapshot_returns_every_part_and_the_cursor_to_follow_from(
    service: RunningService, resistors: str, sql: asyncpg.Connection
) -> None:
    parts = [resistor(f"R{number:02}", description="x" * 50_000) for number in range(30)]
    await service.staff.BatchUpsertParts(pb.BatchUpsertPartsRequest(parts=parts))
    await sql.execute("UPDATE part SET deleted_at = now() WHERE part_id = 'R00'")
    await service.update(resistor("R01", status=DRAFT), "status", expected_version=1)

    first, *pages = await snapshot(service.staff)
    await service.add_part(resistor("later"))

    assert (bool(first.cursor), list(first.parts)) == (True, [])
    assert len(pages) > 1
    assert [part.part_id for page in pages for part in page.parts] == [part.part_id for part in parts]
    assert [page.resume_key for page in pages] == [page.parts[-1].part_id for page in pages]
    assert pages[0].parts[0].HasField("delete_time")
    async with service.watching(cursor=first.cursor) as watching:
        (change,) = await watching.changes(1)
    assert change.part_id == "later"


async def test_a_snapshot_is_as_of_one_revision(service: RunningService, resistors: str) -> None:
    parts = [resistor(f"R{number:03}", description="x" * 90_000) for number in range(100)]
    for start in range(0, 100, 25):
        await service.staff.BatchUpsertParts(pb.BatchUpsertPartsRequest(parts=parts[start : start + 25]))

    call = service.staff.SnapshotParts(pb.SnapshotPartsRequest())
    cursor = (await call.read()).cursor  # type: ignore[attr-defined]
    await service.update(resistor("R099", title="New"), "title", expected_version=1)
    seen = [part async for message in call for part in message.parts]

    assert (seen[-1].part_id, seen[-1].version) == ("R099", 1)
    async with service.watching(cursor=cursor) as watching:
        (change,) = await watching.changes(1)
    assert (change.part_id, change.version) == ("R099", 2)


async def test_a_snapshot_starts_after_an_id(service: RunningService, resistors: str) -> None:
    await service.staff.BatchUpsertParts(
        pb.BatchUpsertPartsRequest(parts=[resistor(f"R{number}") for number in range(5)])
    )

    _, page = await snapshot(service.staff, start_after="R2")

    assert [part.part_id for part in page.parts] == ["R3", "R4"]


async def test_a_public_snapshot_holds_public_parts_and_fields_only(service: RunningService, resistors: str) -> None:
    await service.add_part(resistor("R1", cost=part_pb2.Money(amount_minor=1, currency="USD")))
    await service.add_part(resistor("R2", status=DRAFT))

    _, page = await snapshot(service.public)

    assert [part.part_id for part in page.parts] == ["R1"]
    assert not page.parts[0].HasField("cost")


async def test_a_reader_receives_drafts_and_cost_but_no_origin(service: RunningService, resistors: str) -> None:
    reader = service.client("ann", {"content:read"})
    call: Any = reader.WatchParts(pb.WatchPartsRequest())
    await call.read()
    cost = part_pb2.Money(amount_minor=3, currency="EUR")
    made = await service.add_part(part_pb2.Part(part_id="R1", title="R1", category_id=resistors, cost=cost))

    changes: list[part_change_pb2.PartChange] = []
    while not any(change.part_id for change in changes):
        changes += (await call.read()).changes
    call.cancel()

    change = changes[-1]
    assert change.after == made
    assert (change.after.status, change.after.cost) == (part_pb2.PART_STATUS_DRAFT, cost)
    assert not change.HasField("origin")
    assert (await reader.GetPart(pb.GetPartRequest(part_id="R1"))).part == made


async def test_log_entries_have_rows_only_for_callers_who_can_read_parts(
    service: RunningService, resistors: str
) -> None:
    async def entries(*permissions: str) -> list[bool]:
        token = service.key.mint(subject=USER_ID, name="ann", permissions=permissions)
        async with open_channel([f"127.0.0.1:{service.app.server.port}"], token=lambda: token) as channel:
            log: Any = ChangeLogServiceStub(channel)
            listed = await log.ListEntries(ListEntriesRequest())
        return [entry.HasField("after") for entry in listed.entries]

    assert await entries("changes:read") == [False]
    assert await entries("changes:read", "content:read") == [True]
