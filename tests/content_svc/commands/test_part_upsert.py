"""Import many parts in one batch."""

from __future__ import annotations

import asyncio

import asyncpg

from chassis.errors import FieldInvalid, PermissionMissing
from partstream.content.v1 import part_pb2
from partstream.content.v1 import part_service_pb2 as pb
from tests.content_svc.running_service import RunningService, new_id, rejected, resistor

CREATED = pb.PART_UPSERT_OUTCOME_CREATED
UPDATED = pb.PART_UPSERT_OUTCOME_UPDATED
UNCHANGED = pb.PART_UPSERT_OUTCOME_UNCHANGED
REJECTED = pb.PART_UPSERT_OUTCOME_UNSPECIFIED


async def upsert(
    service: RunningService, *parts: part_pb2.Part, mask: tuple[str, ...] = ()
) -> list[tuple[str, int, int, str]]:
    request = pb.BatchUpsertPartsRequest(parts=parts, request_id=new_id())
    request.update_mask.paths.extend(mask)
    response = await service.staff.BatchUpsertParts(request)
    return [(result.part_id, result.outcome, result.version, result.error_field) for result in response.results]


async def test_each_part_has_its_own_result(service: RunningService, resistors: str, sql: asyncpg.Connection) -> None:
    await upsert(service, resistor("R1"), resistor("R2"), resistor("R5"))
    await sql.execute("UPDATE part SET deleted_at = now() WHERE part_id = 'R5'")

    results = await upsert(
        service,
        resistor("R9"),
        resistor("R1", title="New"),
        resistor("R2"),
        resistor("bad id"),
        resistor("R3", title=""),
        resistor("R3", title="given twice, and the first was rejected"),
        resistor("R4", category_id="nowhere"),
        resistor("R5"),
        resistor("R6", specifications={"a": "nul\x00"}),
        resistor("R7", category_id="\x00"),
        resistor("nul\x00"),
        resistor("R8", images=[part_pb2.PartImage(url="/a.png")]),
    )

    assert results == [
        ("R9", CREATED, 1, ""),
        ("R1", UPDATED, 2, ""),
        ("R2", UNCHANGED, 1, ""),
        ("bad id", REJECTED, 0, "part_id"),
        ("R3", REJECTED, 0, "title"),
        ("R3", REJECTED, 0, "part_id"),
        ("R4", REJECTED, 0, "category_id"),
        ("R5", REJECTED, 2, ""),
        ("R6", REJECTED, 0, 'specifications["a"]'),
        ("R7", REJECTED, 0, "category_id"),
        ("nul\x00", REJECTED, 0, "part_id"),
        ("R8", CREATED, 1, ""),
    ]
    assert await sql.fetchval("SELECT count(*) FROM change_log WHERE entity = 'part'") == 3 + 1 + 3


async def test_a_repeated_import_writes_nothing(service: RunningService, resistors: str) -> None:
    parts = [
        resistor(
            f"R{number}",
            title=f" (PUYA) 电阻 {number} ",
            description="a < b & <b>c</b>",
            specifications={"a": number + 0.0, "b": 9.999999999999999e-06, "c": True, "d": None, "e": "±1%"},
            images=[part_pb2.PartImage(url="/a.png")] * (number % 3),
            price=part_pb2.Money(amount_minor=number, currency="USD"),
            price_breaks=[part_pb2.PriceBreak(from_quantity=1, unit_price="0.10")],
        )
        for number in range(40)
    ]

    first = await upsert(service, *parts)
    head = (await service.staff.ListCategories(pb.ListCategoriesRequest())).revision_token
    second = await upsert(service, *parts)

    assert {outcome for _, outcome, _, _ in first} == {CREATED}
    assert {outcome for _, outcome, _, _ in second} == {UNCHANGED}
    assert (await service.staff.ListCategories(pb.ListCategoriesRequest())).revision_token == head


async def test_fields_outside_the_mask_are_kept(service: RunningService, resistors: str) -> None:
    await service.add_part(resistor(summary="by hand", images=[part_pb2.PartImage(url="/a.png")]))

    await upsert(service, resistor(title="New", summary="by import"), mask=("title", "images"))

    part = (await service.staff.GetPart(pb.GetPartRequest(part_id="R1"))).part
    assert (part.title, part.summary, list(part.images)) == ("New", "by hand", [])


async def test_a_mask_with_an_unknown_field_is_invalid(service: RunningService, resistors: str) -> None:
    async with rejected(FieldInvalid):
        await upsert(service, resistor(), mask=("version",))


async def test_a_repeated_batch_returns_the_stored_response(service: RunningService, resistors: str) -> None:
    request = pb.BatchUpsertPartsRequest(parts=[resistor("R1"), resistor("R2", title="")], request_id=new_id())

    first, second = await asyncio.gather(
        service.staff.BatchUpsertParts(request), service.staff.BatchUpsertParts(request)
    )

    assert {first.replayed, second.replayed} == {True, False}
    assert first.results == second.results


async def test_concurrent_imports_of_the_same_parts_agree(
    service: RunningService, resistors: str, sql: asyncpg.Connection
) -> None:
    parts = [resistor(f"R{number}") for number in range(60)]

    results = await asyncio.gather(
        *(upsert(service, *parts), upsert(service, *reversed(parts)), upsert(service, *parts))
    )

    created = [part_id for batch in results for part_id, outcome, _, _ in batch if outcome == CREATED]
    assert sorted(created) == sorted(part.part_id for part in parts)
    assert {outcome for batch in results for _, outcome, _, _ in batch} <= {CREATED, UNCHANGED}
    assert await sql.fetchval("SELECT count(*) FROM part_version") == 60


async def test_a_part_rejected_by_a_constraint_does_not_affect_the_others(
    service: RunningService, resistors: str, sql: asyncpg.Connection
) -> None:
    await sql.execute("ALTER TABLE part ADD CONSTRAINT mpn_length_narrow CHECK (mpn <> 'X')")
    await sql.execute("ALTER TABLE part DROP CONSTRAINT mpn_length")
    await sql.execute("ALTER TABLE part RENAME CONSTRAINT mpn_length_narrow TO mpn_length")

    results = await upsert(service, resistor("R1"), resistor("R2", mpn="X"), resistor("R3"))

    assert [(part_id, outcome, field) for part_id, outcome, _, field in results] == [
        ("R1", CREATED, ""),
        ("R2", REJECTED, "part.mpn"),
        ("R3", CREATED, ""),
    ]


async def test_publishing_needs_its_own_permission(service: RunningService, resistors: str) -> None:
    writer = service.client("bob", ["content:write"])

    response = await writer.BatchUpsertParts(
        pb.BatchUpsertPartsRequest(parts=[resistor("R1"), resistor("R2", status=part_pb2.PART_STATUS_DRAFT)])
    )

    assert [result.outcome for result in response.results] == [REJECTED, CREATED]
    assert response.results[0].error_reason == "PERMISSION_MISSING"
    async with rejected(PermissionMissing):
        await service.client("eve", ["content:read"]).BatchUpsertParts(
            pb.BatchUpsertPartsRequest(parts=[resistor("R1")])
        )


async def test_each_part_can_have_its_own_mask(service: RunningService, resistors: str) -> None:
    """With one mask for all parts, an import of some columns once erased the others."""
    await upsert(service, resistor("R1", mpn="old"), resistor("R2", mpn="old"), resistor("R3", mpn="old"))
    parts = [resistor(name, title="New", mpn="new") for name in ("R1", "R2", "R3", "R4")]
    request = pb.BatchUpsertPartsRequest(parts=parts, request_id=new_id())
    for paths in (["title"], [], ["*"], []):
        request.part_update_masks.add(paths=paths)

    response = await service.staff.BatchUpsertParts(request)

    assert [result.outcome for result in response.results] == [UPDATED, UNCHANGED, UPDATED, CREATED]
    found = await service.staff.BatchGetParts(pb.BatchGetPartsRequest(part_ids=["R1", "R2", "R3", "R4"]))
    old = resistor("R1").title
    assert [(part.title, part.mpn) for part in found.parts] == [
        ("New", "old"),
        (old, "old"),
        ("New", "new"),
        ("New", "new"),
    ]


async def test_masks_are_as_many_as_parts_and_name_fields(service: RunningService, resistors: str) -> None:
    few = pb.BatchUpsertPartsRequest(parts=[resistor("R1"), resistor("R2")])
    few.part_update_masks.add(paths=["title"])
    unknown = pb.BatchUpsertPartsRequest(parts=[resistor("R1")])
    unknown.part_update_masks.add(paths=["version"])

    for request in (few, unknown):
        async with rejected(FieldInvalid):
            await service.staff.BatchUpsertParts(request)
