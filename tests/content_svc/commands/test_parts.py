"""Create and update parts over gRPC."""

from __future__ import annotations

import asyncio

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from chassis.errors import (
    FieldInvalid,
    PermissionMissing,
    RequestIdReused,
    ResourceRef,
    TokenMissing,
    VersionConflict,
    VersionRequired,
)
from chassis.tokens import SERVICE_PERMISSIONS
from content_svc.errors import CategoryExists, PartArchived, PartExists, PartNotFound
from partstream.content.v1 import part_pb2
from partstream.content.v1 import part_service_pb2 as pb
from tests.content_svc.running_service import USER_ID, RunningService, new_id, rejected, resistor

DIRTY = {
    "Operating temperature\t-": "-40℃~+125℃",
    "阻值": "10kΩ、±1%",
    "Float": 9.999999999999999e-06,
    "Whole": 5.0,
    "Large": 1e300,
    "Flag": True,
    "Placeholder": "-",
    "NaN": "NaN",
    'Quote "and" \\ slash': "'; DROP TABLE part; --",
    "null": None,
    "emoji": "🧲",
}


async def entries(service: RunningService) -> int:
    head = await service.app.feed.tailer._reader.head()
    return head.revision


async def test_a_new_part_is_version_1_and_returned_as_given(service: RunningService, resistors: str) -> None:
    wanted = resistor(
        specifications=DIRTY,
        summary="0.1 < 1 & so on",
        mpn=" 0603WAF1002T5E ",
        price=part_pb2.Money(amount_minor=2, currency="USD"),
        price_breaks=[part_pb2.PriceBreak(from_quantity=1, unit_price="0.0137")],
        cost=part_pb2.Money(amount_minor=1, currency="USD"),
        images=[part_pb2.PartImage(url="/a.png", alt="a", width=3, height=4)],
    )

    response = await service.staff.CreatePart(pb.CreatePartRequest(part=wanted, request_id=new_id()))

    stored = response.part
    assert (stored.version, stored.published_version, stored.mpn) == (1, 1, "0603WAF1002T5E")
    assert (stored.updated_by.user_id, stored.updated_by.username) == (USER_ID, "alice")
    assert stored.specifications == wanted.specifications
    assert (stored.images, stored.price_breaks, stored.cost) == (wanted.images, wanted.price_breaks, wanted.cost)
    assert (list(stored.category_path), stored.summary) == (["Resistors"], wanted.summary)
    seen = await service.staff.GetPart(pb.GetPartRequest(part_id="R1", min_revision_token=response.revision_token))
    assert seen.part == stored


async def test_a_description_is_sanitised(service: RunningService, resistors: str) -> None:
    part = await service.add_part(resistor(description="<p onclick='x'>a &lt; b<script>alert(1)</script></p>"))

    assert part.description == "<p>a &lt; b</p>"


async def test_public_reads_return_no_staff_fields_and_no_unpublished_parts(
    service: RunningService, resistors: str
) -> None:
    await service.add_part(resistor("R1", cost=part_pb2.Money(amount_minor=1, currency="USD")))
    await service.add_part(resistor("R2", status=part_pb2.PART_STATUS_DRAFT))

    seen = (await service.public.GetPart(pb.GetPartRequest(part_id="R1"))).part

    assert not seen.HasField("cost")
    assert not seen.HasField("updated_by")
    async with rejected(PartNotFound):
        await service.public.GetPart(pb.GetPartRequest(part_id="R2"))
    batch = await service.public.BatchGetParts(pb.BatchGetPartsRequest(part_ids=["R3", "R2", "R1", "R1"]))
    assert [part.part_id for part in batch.parts] == ["R1"]
    assert batch.missing_part_ids == ["R3", "R2"]


async def test_an_id_is_not_reused(service: RunningService, resistors: str) -> None:
    await service.add_part(resistor())

    async with rejected(PartExists):
        await service.add_part(resistor(title="Another"))
    async with rejected(CategoryExists) as errors:
        await service.add_category("resistors", "Again")

    assert errors[0].resource == ResourceRef("category", "resistors")


@pytest.mark.parametrize(
    ("part", "path"),
    [
        (resistor(category_id="nowhere"), "part.category_id"),
        (resistor(title="  "), "part.title"),
        (resistor(title="x" * 301), "part.title"),
        (resistor(specifications={"a": {"nested": 1}}), 'part.specifications["a"]'),
        (resistor(images=[part_pb2.PartImage(url="//evil.example/x")]), "part.images[0].url"),
    ],
)
async def test_an_invalid_field_is_named(
    service: RunningService, resistors: str, part: part_pb2.Part, path: str
) -> None:
    before = await entries(service)

    async with rejected(FieldInvalid) as errors:
        await service.add_part(part)

    assert [field.path for field in errors[0].fields] == [path]
    assert await entries(service) == before


async def test_a_category_needs_an_existing_parent(service: RunningService, resistors: str) -> None:
    await service.add_category("chip", "Chip", parent_id="resistors")

    async with rejected(FieldInvalid) as errors:
        await service.add_category("lost", "Lost", parent_id="nowhere")
    assert [field.path for field in errors[0].fields] == ["category.parent_id"]


async def test_permissions_are_checked_before_existence(service: RunningService, resistors: str) -> None:
    request = pb.UpdatePartRequest(part=resistor("nowhere"))

    async with rejected(TokenMissing):
        await service.public.UpdatePart(request)
    async with rejected(PermissionMissing):
        await service.client("bob", ["content:read"]).UpdatePart(request)


async def test_publishing_needs_its_own_permission(service: RunningService, resistors: str) -> None:
    writer = service.client("bob", ["content:read", "content:write"])

    async with rejected(PermissionMissing) as errors:
        await writer.CreatePart(pb.CreatePartRequest(part=resistor()))
    assert errors[0].metadata["permission"] == "content:publish"

    draft = await writer.CreatePart(pb.CreatePartRequest(part=resistor(status=part_pb2.PART_STATUS_UNSPECIFIED)))
    assert draft.part.status == part_pb2.PART_STATUS_DRAFT
    async with rejected(PermissionMissing):
        await writer.UpdatePart(pb.UpdatePartRequest(part=resistor(), expected_version=1))


async def test_an_update_writes_the_masked_fields_only(service: RunningService, resistors: str) -> None:
    await service.add_part(resistor(mpn="X", images=[part_pb2.PartImage(url="/a.png")]))

    part = await service.update(resistor(title="New", mpn="ignored"), "title", expected_version=1)

    assert (part.title, part.mpn, part.version, part.published_version) == ("New", "X", 2, 2)
    assert [image.url for image in part.images] == ["/a.png"]


async def test_images_are_replaced_as_a_whole(service: RunningService, resistors: str) -> None:
    await service.add_part(resistor(images=[part_pb2.PartImage(url="/a.png"), part_pb2.PartImage(url="/b.png")]))

    part = await service.update(resistor(images=[part_pb2.PartImage(url="/b.png")]), "images", expected_version=1)

    assert ([image.url for image in part.images], part.version) == (["/b.png"], 2)


async def test_a_version_conflict_returns_the_present_part(service: RunningService, resistors: str) -> None:
    await service.add_part(resistor())
    await service.update(resistor(title="First"), "title", expected_version=1)

    async with rejected(VersionConflict) as errors:
        await service.update(resistor(title="Second"), "title", expected_version=1)

    current = errors[0].current
    assert isinstance(current, part_pb2.Part)
    assert (current.title, current.version) == ("First", 2)
    assert errors[0].metadata["changed_by"] == "alice"
    assert errors[0].metadata["changed_at"].endswith("Z")


async def test_a_conflict_returns_only_fields_that_the_caller_can_read(service: RunningService, resistors: str) -> None:
    """The present part once included its cost for callers who can write parts but not read them."""
    wanted = resistor(cost=part_pb2.Money(amount_minor=1, currency="USD"))
    await service.staff.CreatePart(pb.CreatePartRequest(part=wanted))
    writer = service.client("bob", ["content:write"])
    stale = pb.UpdatePartRequest(part=wanted, expected_version=9)

    async with rejected(VersionConflict) as errors:
        await service.staff.UpdatePart(stale)
    async with rejected(VersionConflict) as errors_of_writer:
        await writer.UpdatePart(stale)

    shown = [errors[0].current, errors_of_writer[0].current]

    assert [isinstance(part, part_pb2.Part) and part.HasField("cost") for part in shown] == [True, False]
    assert [isinstance(part, part_pb2.Part) and part.HasField("updated_by") for part in shown] == [True, False]


async def test_unconditional_excludes_an_expected_version(service: RunningService, resistors: str) -> None:
    """With both, a stale version was once overwritten silently."""
    await service.staff.CreatePart(pb.CreatePartRequest(part=resistor()))
    both = pb.UpdatePartRequest(part=resistor(title="Other"), expected_version=9, unconditional=True)

    async with rejected(FieldInvalid) as errors:
        await service.staff.UpdatePart(both)

    assert [field.path for field in errors[0].fields] == ["unconditional"]


@pytest.mark.parametrize("comment", ["a\0b", "a\x1b[31m"])
async def test_a_comment_that_cannot_be_stored_is_an_invalid_field(
    service: RunningService, resistors: str, comment: str
) -> None:
    """It was once an internal fault: PostgreSQL rejects the character in a transaction setting."""
    async with rejected(FieldInvalid) as errors:
        await service.staff.CreatePart(pb.CreatePartRequest(part=resistor(), comment=comment))

    assert [field.path for field in errors[0].fields] == ["comment"]


async def test_an_update_needs_a_precondition(service: RunningService, resistors: str) -> None:
    await service.add_part(resistor())

    async with rejected(VersionRequired):
        await service.staff.UpdatePart(pb.UpdatePartRequest(part=resistor(title="New")))
    response = await service.staff.UpdatePart(pb.UpdatePartRequest(part=resistor(title="New"), unconditional=True))
    assert response.part.version == 2


async def test_an_update_without_a_difference_writes_nothing(service: RunningService, resistors: str) -> None:
    created = await service.add_part(resistor(specifications={"a": 5}))
    before = await entries(service)

    response = await service.staff.UpdatePart(
        pb.UpdatePartRequest(part=resistor(specifications={"a": 5.0}), expected_version=1, request_id=new_id())
    )

    assert response.part == created
    assert await entries(service) == before
    assert response.revision_token == service.app.feed.token_for(before)


async def test_an_unset_status_keeps_a_part_published(service: RunningService, resistors: str) -> None:
    await service.add_part(resistor())
    wanted = resistor(title="New", status=part_pb2.PART_STATUS_UNSPECIFIED)

    part = (await service.staff.UpdatePart(pb.UpdatePartRequest(part=wanted, expected_version=1))).part

    assert part.status == part_pb2.PART_STATUS_PUBLISHED


async def test_a_deleted_part_cannot_change(service: RunningService, resistors: str, sql: object) -> None:
    await service.add_part(resistor())
    await sql.execute("UPDATE part SET deleted_at = now()")  # type: ignore[attr-defined]

    async with rejected(PartArchived):
        await service.update(resistor(title="New"), expected_version=2)
    async with rejected(PartNotFound):
        await service.public.GetPart(pb.GetPartRequest(part_id="R1"))
    assert (await service.staff.GetPart(pb.GetPartRequest(part_id="R1"))).part.HasField("delete_time")


async def test_an_unknown_part_cannot_change(service: RunningService) -> None:
    async with rejected(PartNotFound):
        await service.update(resistor(), expected_version=1)


async def test_one_of_concurrent_writers_with_the_same_expected_version_succeeds(
    service: RunningService, resistors: str
) -> None:
    await service.add_part(resistor())

    async def attempt(number: int) -> bool:
        try:
            async with rejected(VersionConflict):
                await service.update(resistor(title=f"title {number}"), "title", expected_version=1)
        except pytest.fail.Exception:
            return True
        return False

    won = await asyncio.gather(*(attempt(number) for number in range(10)))

    assert sum(won) == 1
    assert (await service.staff.GetPart(pb.GetPartRequest(part_id="R1"))).part.version == 2


async def test_a_repeated_request_returns_the_stored_response(service: RunningService, resistors: str) -> None:
    await service.add_part(resistor())
    request = pb.UpdatePartRequest(
        part=resistor(title="New"), update_mask=FieldMask(paths=["title"]), expected_version=1, request_id=new_id()
    )

    first = await service.staff.UpdatePart(request)
    second = await service.staff.UpdatePart(request)

    assert (first.replayed, second.replayed) == (False, True)
    assert second.part == first.part
    assert second.revision_token == first.revision_token


async def test_simultaneous_retries_run_once(service: RunningService, resistors: str) -> None:
    await service.add_part(resistor())
    before = await entries(service)
    request = pb.UpdatePartRequest(part=resistor(title="New"), unconditional=True, request_id=new_id())

    responses = await asyncio.gather(*(service.staff.UpdatePart(request) for _ in range(8)))

    assert sorted(response.replayed for response in responses) == [False] + [True] * 7
    assert {response.part.version for response in responses} == {2}
    assert await entries(service) == before + 1


async def test_a_request_id_is_for_one_body_of_one_caller(service: RunningService, resistors: str) -> None:
    request = pb.CreatePartRequest(part=resistor(), request_id=new_id())
    await service.staff.CreatePart(request)

    async with rejected(RequestIdReused):
        await service.staff.CreatePart(pb.CreatePartRequest(part=resistor("R2"), request_id=request.request_id))


async def test_two_callers_can_use_the_same_request_id(service: RunningService, resistors: str) -> None:
    """Ids were once one namespace for all callers: the second caller got REQUEST_ID_REUSED."""
    other = service.client("bob", SERVICE_PERMISSIONS, user_id="99999999-2222-3333-4444-555555555555")
    request_id = new_id()
    mine = pb.CreatePartRequest(part=resistor(), request_id=request_id)
    theirs = pb.CreatePartRequest(part=resistor("R2"), request_id=request_id)

    responses = [await stub.CreatePart(request) for stub, request in ((service.staff, mine), (other, theirs))]
    again = [await stub.CreatePart(request) for stub, request in ((service.staff, mine), (other, theirs))]

    assert [response.replayed for response in responses] == [False, False]
    assert [(response.replayed, response.part.part_id) for response in again] == [
        (True, response.part.part_id) for response in responses
    ]


async def test_a_rejected_request_does_not_claim_its_id(service: RunningService) -> None:
    request = pb.CreatePartRequest(part=resistor(), request_id=new_id())
    async with rejected(FieldInvalid):
        await service.staff.CreatePart(request)
    await service.add_category("resistors", "Resistors")

    response = await service.staff.CreatePart(request)

    assert (response.replayed, response.part.version) == (False, 1)


async def test_the_comment_is_stored_with_the_version_and_the_log_entry(
    service: RunningService, resistors: str, sql: object
) -> None:
    request = pb.CreatePartRequest(part=resistor(), comment="first stock", request_id=new_id())
    await service.staff.CreatePart(request)

    comment = await sql.fetchval("SELECT comment FROM part_version")  # type: ignore[attr-defined]
    entry = await sql.fetchrow("SELECT * FROM change_log WHERE entity = 'part'")  # type: ignore[attr-defined]
    assert (comment, entry["reason"], entry["request_id"]) == ("first stock", "first stock", request.request_id)
    assert (entry["source"], entry["actor"], entry["actor_name"]) == ("service", USER_ID, "alice")
