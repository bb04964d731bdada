"""Levels over gRPC: reads, counts, differences, transfers, archive."""

from __future__ import annotations

import pytest

from chassis import errors
from partstream.inventory.v1 import stock_service_pb2 as pb
from partstream.inventory.v1.movement_pb2 import MovementKind
from tests.inventory_svc.running import ADMIN_ID, Running, refusal


async def test_a_count_creates_a_level_and_names_who_made_it(inventory: Running) -> None:
    response = await inventory.staff.SetStock(pb.SetStockRequest(part_id="bolt", on_hand=40, expected_version=0))

    level = response.level
    assert (level.part_id, level.location_id, level.on_hand, level.available, level.version) == (
        "bolt",
        "main",
        40,
        40,
        1,
    )
    assert (level.last_updated_by.user_id, level.last_updated_by.username) == (ADMIN_ID, "admin")
    assert response.revision_token
    assert not response.replayed


async def test_a_write_needs_its_permission_before_anything_is_looked_at(inventory: Running) -> None:
    request = pb.AdjustStockRequest(part_id="nowhere", delta=1, reason="x")

    assert isinstance(await refusal(inventory.public.AdjustStock(request)), errors.TokenMissing)
    reader = inventory.client("reader", permissions=frozenset({"stock:read"}))
    assert isinstance(await refusal(reader.AdjustStock(request)), errors.PermissionMissing)


async def test_two_admins_from_one_read_state_one_conflict(inventory: Running) -> None:
    part = await inventory.have(40)
    await inventory.staff.SetStock(pb.SetStockRequest(part_id=part, on_hand=30, expected_version=1))

    error = await refusal(inventory.staff.SetStock(pb.SetStockRequest(part_id=part, on_hand=20, expected_version=1)))

    assert isinstance(error, errors.VersionConflict)
    assert error.current == await inventory.level(part)
    assert error.metadata["changed_by"] == "admin"
    assert error.metadata["changed_at"].endswith("Z")


async def test_a_count_without_a_version_must_be_unconditional(inventory: Running) -> None:
    part = await inventory.have(1)

    error = await refusal(inventory.staff.SetStock(pb.SetStockRequest(part_id=part, on_hand=2)))
    response = await inventory.staff.SetStock(pb.SetStockRequest(part_id=part, on_hand=2, unconditional=True))

    assert isinstance(error, errors.VersionRequired)
    assert (response.level.on_hand, response.level.version) == (2, 2)


@pytest.mark.parametrize(
    ("request_", "path"),
    [
        (pb.AdjustStockRequest(part_id="a b", delta=1, reason="x"), "part_id"),
        (pb.AdjustStockRequest(part_id="a", delta=0, reason="x"), "delta"),
        (pb.AdjustStockRequest(part_id="a", delta=1), "reason"),
        (pb.AdjustStockRequest(part_id="a", delta=1, reason="\0"), "reason"),
        (pb.AdjustStockRequest(part_id="a", delta=1, kind=MovementKind.MOVEMENT_KIND_SHIPPED), "delta"),
        (pb.AdjustStockRequest(part_id="a", delta=1, reason="x", request_id="mine"), "request_id"),
    ],
)
async def test_a_wrong_field_is_named(inventory: Running, request_: pb.AdjustStockRequest, path: str) -> None:
    error = await refusal(inventory.staff.AdjustStock(request_))

    assert isinstance(error, errors.FieldInvalid)
    assert [field.path for field in error.fields] == [path]


async def test_a_shortage_says_what_was_asked_and_what_is_there(inventory: Running) -> None:
    part = await inventory.have(3)

    error = await refusal(inventory.staff.AdjustStock(pb.AdjustStockRequest(part_id=part, delta=-4, reason="x")))

    assert error.reason == "INSUFFICIENT_STOCK"
    assert (error.metadata["requested"], error.metadata["available"]) == ("4", "3")


async def test_many_parts_are_answered_in_the_order_asked(inventory: Running) -> None:
    first, second = await inventory.have(1), await inventory.have(2)

    response = await inventory.public.BatchGetStock(
        pb.BatchGetStockRequest(part_ids=[second, "missing", first, second])
    )

    assert [stock.part_id for stock in response.stocks] == [second, first]
    assert list(response.missing_part_ids) == ["missing"]


async def test_levels_are_listed_in_pages_with_filters(inventory: Running) -> None:
    await inventory.staff.CreateLocation(pb.CreateLocationRequest(location_id="berlin", name="Berlin"))
    for part, units, location in (("a", 0, "main"), ("b", 9, "main"), ("c", 2, "berlin"), ("c", 5, "main")):
        await inventory.have(units, location, part)
    await inventory.staff.SetReorderPoint(pb.SetReorderPointRequest(part_id="c", location_id="berlin", reorder_point=3))

    async def listed(**filters: object) -> list[str]:
        found: list[str] = []
        token = ""
        while True:
            request = pb.ListStockRequest(page_size=2, page_token=token, **filters)  # type: ignore[arg-type]
            page = await inventory.staff.ListStock(request)
            found += [f"{level.part_id}/{level.location_id}" for level in page.levels]
            token = page.next_page_token
            if not token:
                return found

    assert await listed() == ["a/main", "b/main", "c/berlin", "c/main"]
    assert await listed(low_stock=True) == ["a/main", "c/berlin"]
    assert await listed(in_stock=False) == ["a/main"]
    assert await listed(location_id="main") == ["a/main", "b/main", "c/main"]


async def test_a_page_token_is_valid_for_its_filters_only(inventory: Running) -> None:
    for part in ("a", "b"):
        await inventory.have(1, part_id=part)
    page = await inventory.staff.ListStock(pb.ListStockRequest(page_size=1))

    error = await refusal(
        inventory.staff.ListStock(pb.ListStockRequest(page_size=1, in_stock=True, page_token=page.next_page_token))
    )

    assert isinstance(error, errors.PageTokenInvalid)


async def test_a_transfer_moves_units_in_one_commit(inventory: Running) -> None:
    part = await inventory.have(10)
    await inventory.staff.CreateLocation(pb.CreateLocationRequest(location_id="berlin", name="Berlin"))

    moved = await inventory.staff.TransferStock(
        pb.TransferStockRequest(part_id=part, to_location_id="berlin", quantity=4)
    )

    assert (moved.from_level.on_hand, moved.to_level.on_hand) == (6, 4)
    stock = (await inventory.staff.GetStock(pb.GetStockRequest(part_id=part))).stock
    assert (stock.on_hand, stock.version) == (10, 3)
    transactions = inventory.sql("SELECT DISTINCT transaction_id FROM change_log WHERE entity_id LIKE %s", f"{part}/%")
    assert len(transactions) == 2


async def test_an_archived_level_is_shown_not_counted_and_does_not_move(inventory: Running) -> None:
    part = await inventory.have(7)
    await inventory.staff.ArchiveStock(pb.ArchiveStockRequest(part_id=part, expected_version=1, reason="delisted"))

    error = await refusal(inventory.staff.AdjustStock(pb.AdjustStockRequest(part_id=part, delta=1, reason="x")))
    stock = (await inventory.staff.GetStock(pb.GetStockRequest(part_id=part))).stock
    listed = await inventory.staff.ListStock(pb.ListStockRequest())
    restored = await inventory.staff.RestoreStock(pb.RestoreStockRequest(part_id=part, expected_version=2))

    assert error.reason == "PART_ARCHIVED"
    assert (stock.on_hand, stock.version, len(stock.levels)) == (0, 2, 1)
    assert list(listed.levels) == []
    assert (restored.level.version, restored.level.HasField("archive_time")) == (3, False)


async def test_a_location_with_stock_is_not_archived(inventory: Running) -> None:
    await inventory.staff.CreateLocation(pb.CreateLocationRequest(location_id="berlin", name="Berlin"))
    part = await inventory.have(1, "berlin")
    request = pb.ArchiveLocationRequest(location_id="berlin")

    assert isinstance(await refusal(inventory.staff.ArchiveLocation(request)), errors.HasDependents)
    await inventory.staff.AdjustStock(
        pb.AdjustStockRequest(part_id=part, location_id="berlin", delta=-1, reason="sold")
    )
    archived = await inventory.staff.ArchiveLocation(request)

    assert archived.location.HasField("archive_time")
    error = await refusal(
        inventory.staff.SetStock(pb.SetStockRequest(part_id="x", location_id="berlin", on_hand=1, expected_version=0))
    )
    assert error.reason == "LOCATION_ARCHIVED"
    locations = (await inventory.staff.ListLocations(pb.ListLocationsRequest())).locations
    assert [item.location_id for item in locations] == ["berlin", "main"]


async def test_a_read_with_a_token_sees_what_the_token_speaks_of(inventory: Running) -> None:
    part = await inventory.have(1)
    written = await inventory.staff.AdjustStock(pb.AdjustStockRequest(part_id=part, delta=5, reason="x"))

    request = pb.GetStockRequest(part_id=part, min_revision_token=written.revision_token)
    read = await inventory.public.GetStock(request)

    assert (read.stock.available, read.revision_token) == (6, written.revision_token)


async def test_an_unknown_part_is_not_found(inventory: Running) -> None:
    assert (await refusal(inventory.public.GetStock(pb.GetStockRequest(part_id="x")))).reason == "PART_NOT_FOUND"
