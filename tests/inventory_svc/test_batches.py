"""BatchAdjustStock: many levels, one transaction."""

from __future__ import annotations

from chassis import errors
from partstream.inventory.v1 import stock_service_pb2 as pb
from tests.inventory_svc.running import Running, refusal


async def test_each_item_has_its_own_result_in_order(inventory: Running) -> None:
    part = await inventory.have(5)
    items = [
        pb.StockAdjustment(part_id=part, delta=-2),
        pb.StockAdjustment(part_id=part, delta=-9),
        pb.StockAdjustment(part_id="missing", delta=1),
        pb.StockAdjustment(part_id=part, delta=-1, expected_version=2, expected_on_hand=3),
        pb.StockAdjustment(part_id=part, delta=-1, expected_on_hand=3),
    ]

    response = await inventory.staff.BatchAdjustStock(pb.BatchAdjustStockRequest(adjustments=items, reason="sold"))

    reasons = [item.error.reason for item in response.results]
    assert reasons == ["", "INSUFFICIENT_STOCK", "PART_NOT_FOUND", "", "VERSION_CONFLICT"]
    assert [item.level.on_hand for item in response.results] == [3, 0, 0, 2, 0]
    assert response.results[1].error.current.on_hand == 3
    assert inventory.sql(
        "SELECT version, jsonb_array_length(details->'movements') FROM change_log WHERE revision = 3"
    ) == [(3, 2)]


async def test_an_atomic_batch_is_applied_whole_or_not_at_all(inventory: Running) -> None:
    part = await inventory.have(5)
    items = [pb.StockAdjustment(part_id=part, delta=-2), pb.StockAdjustment(part_id=part, delta=-9)]

    error = await refusal(
        inventory.staff.BatchAdjustStock(pb.BatchAdjustStockRequest(adjustments=items, reason="x", atomic=True))
    )

    assert isinstance(error, errors.BatchAborted)
    assert error.metadata["item"] == "1"
    assert (await inventory.level(part)).on_hand == 5


async def test_a_thousand_items_are_one_transaction(inventory: Running) -> None:
    parts = [f"bulk-{number:04}" for number in range(1000)]
    inventory.sql(
        "INSERT INTO stock_level (part_id, location_id, on_hand) SELECT unnest(%s::text[]), 'main', 10", parts
    )
    items = [pb.StockAdjustment(part_id=part, delta=-1) for part in parts]

    response = await inventory.staff.BatchAdjustStock(pb.BatchAdjustStockRequest(adjustments=items, reason="sold"))

    assert {item.level.on_hand for item in response.results} == {9}
    assert inventory.sql(
        "SELECT count(*), count(DISTINCT transaction_id) FROM change_log WHERE source = 'service'"
    ) == [(1000, 1)]


async def test_a_batch_of_refusals_is_an_answer_too(inventory: Running) -> None:
    request_id = "6f1f7f0e-3a31-4a51-8d5c-6f7a3f1f8a10"
    request = pb.BatchAdjustStockRequest(
        request_id=request_id, adjustments=[pb.StockAdjustment(part_id="missing", delta=1)], reason="x"
    )

    first = await inventory.staff.BatchAdjustStock(request)
    second = await inventory.staff.BatchAdjustStock(request)

    assert first.results == second.results
    assert (first.replayed, second.replayed) == (False, True)
    assert first.revision_token


async def test_an_item_without_a_reason_is_named(inventory: Running) -> None:
    items = [pb.StockAdjustment(part_id="a", delta=1, reason="x"), pb.StockAdjustment(part_id="a", delta=1)]

    error = await refusal(inventory.staff.BatchAdjustStock(pb.BatchAdjustStockRequest(adjustments=items)))

    assert [field.path for field in error.fields] == ["adjustments[1].reason"]
