"""Stock routes: set, adjust, reject, replay, transfer, reserve and read."""

import asyncio
import uuid

import asyncpg
import httpx
import pytest

from edge.metrics import UPSTREAM_RETRIES
from tests.edge.routes.shop import open_shop, seen, stock

STOCK = "/admin/parts/LED-5MM-RED/stock"


async def test_expected_version_0_creates_a_level(admin: httpx.AsyncClient) -> None:
    created = await admin.put(STOCK, json={"on_hand": 40, "expected_version": 0, "reason": "first count"})

    assert created.status_code == 200
    level = created.json()
    assert level.pop("updated_at")
    assert level == {
        "part_id": "LED-5MM-RED",
        "location_id": "main",
        "on_hand": 40,
        "reserved": 0,
        "available": 40,
        "in_stock": True,
        "low_stock": False,
        "reorder_point": 0,
        "version": 1,
        "last_updated_by": "admin",
        "archived_at": None,
    }
    again = await admin.put(STOCK, json={"on_hand": 40, "expected_version": 0})
    assert again.status_code == 409
    assert again.json()["current"]["version"] == 1


async def test_a_conflict_returns_the_current_state_and_its_author(admin: httpx.AsyncClient) -> None:
    await stock(admin, 40)
    await admin.put(STOCK, json={"on_hand": 39, "expected_version": 1})

    stale = await admin.put(STOCK, json={"on_hand": 41, "expected_version": 1})
    stale_tag = await admin.put(STOCK, json={"on_hand": 41}, headers={"If-Match": '"1"'})

    assert stale.status_code == 409
    assert stale_tag.status_code == 412
    for rejected in (stale, stale_tag):
        body = rejected.json()
        assert body["reason"] == "VERSION_CONFLICT"
        assert (body["current"]["on_hand"], body["current"]["version"]) == (39, 2)
        assert body["changed_by"] == "admin"
        assert body["changed_at"].endswith("Z")


async def test_write_waits_for_a_transaction_outside_the_service(admin: httpx.AsyncClient, inventory_dsn: str) -> None:
    """A write waits for a large change by SQL as long as its own deadline allows."""
    await stock(admin, 40)
    retries = UPSTREAM_RETRIES.labels("inventory")
    before = retries._value.get()
    sql = await asyncpg.connect(inventory_dsn)
    await sql.execute("BEGIN; UPDATE stock_level SET reorder_point = 3")
    writing = asyncio.ensure_future(admin.post(f"{STOCK}/adjust", json={"delta": -1, "reason": "sold"}))
    async with asyncio.timeout(20):
        while retries._value.get() == before and not writing.done():  # noqa: ASYNC110 - a counter has no signal
            await asyncio.sleep(0.01)
    await sql.execute("COMMIT")
    await sql.close()

    written = await writing

    assert written.status_code == 200, written.text
    assert (written.json()["on_hand"], written.json()["reorder_point"]) == (39, 3)


async def test_an_absolute_write_requires_a_version(admin: httpx.AsyncClient) -> None:
    response = await admin.put(STOCK, json={"on_hand": 40})

    assert (response.status_code, response.json()["reason"]) == (428, "VERSION_REQUIRED")


async def test_if_match_with_the_etag_of_the_level_is_accepted(admin: httpx.AsyncClient) -> None:
    created = await admin.put(STOCK, json={"on_hand": 40, "expected_version": 0})

    updated = await admin.put(STOCK, json={"on_hand": 41}, headers={"If-Match": created.headers["etag"]})

    assert updated.json()["version"] == 2


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"{", 400, ""),
        (b"\xff\xfe", 400, ""),
        (b"[]", 400, ""),
        (b'{"on_hand": "40", "expected_version": 0}', 400, "on_hand"),
        (b'{"on_hand": 1.5, "expected_version": 0}', 400, "on_hand"),
        (b'{"expected_version": 0}', 400, "on_hand"),
        (b'{"on_hand": 1, "colour": "red", "expected_version": 0}', 400, "colour"),
        (b'{"on_hand": -1, "expected_version": 0}', 422, "on_hand"),
        (b'{"on_hand": 1, "location_id": "a b", "expected_version": 0}', 422, "location_id"),
        (b'{"on_hand": 9000000000000001, "expected_version": 0}', 422, "on_hand"),
    ],
)
async def test_malformed_and_invalid_bodies_have_different_statuses(
    admin: httpx.AsyncClient, body: bytes, status: int, field: str
) -> None:
    response = await admin.put(STOCK, content=body, headers={"Content-Type": "application/json"})

    problem = response.json()
    assert (response.status_code, problem["errors"][0]["field"]) == (status, field)
    assert problem["reason"] == "FIELD_INVALID"


async def test_body_that_is_too_large_is_rejected(admin: httpx.AsyncClient) -> None:
    response = await admin.put(STOCK, json={"on_hand": 1, "reason": "x" * 2_000_000})

    assert (response.status_code, response.json()["reason"]) == (413, "BODY_TOO_LARGE")


async def test_adjusting_below_zero_is_rejected(admin: httpx.AsyncClient) -> None:
    await stock(admin, 2)

    taken = await admin.post(f"{STOCK}/adjust", json={"delta": -2, "reason": "sold at the counter"})
    rejected = await admin.post(f"{STOCK}/adjust", json={"delta": -1, "reason": "sold at the counter"})

    assert (taken.status_code, taken.json()["on_hand"]) == (200, 0)
    assert (rejected.status_code, rejected.json()["reason"]) == (409, "INSUFFICIENT_STOCK")


async def test_a_repeated_idempotency_key_replays_the_first_response(admin: httpx.AsyncClient) -> None:
    await stock(admin, 10)
    headers = {"Idempotency-Key": "order 4711, line 1"}
    body = {"delta": -3, "reason": "damaged"}

    first = await admin.post(f"{STOCK}/adjust", json=body, headers=headers)
    again = await admin.post(f"{STOCK}/adjust", json=body, headers=headers)
    other = await admin.post(f"{STOCK}/adjust", json={**body, "delta": -4}, headers=headers)

    assert first.json() == again.json()
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert (other.status_code, other.json()["reason"]) == (422, "REQUEST_ID_REUSED")


async def test_concurrent_repeats_are_applied_once(admin: httpx.AsyncClient) -> None:
    await stock(admin, 10)
    headers = {"Idempotency-Key": str(uuid.uuid4())}

    responses = await asyncio.gather(
        *(admin.post(f"{STOCK}/adjust", json={"delta": -3, "reason": "x"}, headers=headers) for _ in range(5))
    )

    assert {response.status_code for response in responses} == {200}
    assert {response.json()["on_hand"] for response in responses} == {7}
    assert sum("idempotent-replayed" in response.headers for response in responses) == 4


async def test_public_stock_includes_the_write_of_the_caller(
    client: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    await open_shop(admin)
    written = await admin.put(STOCK, json={"on_hand": 7, "expected_version": 0})

    shown = await client.get("/parts/LED-5MM-RED/stock", headers=seen(written))

    assert shown.json() == {
        "part_id": "LED-5MM-RED",
        "available": 7,
        "in_stock": True,
        "low_stock": False,
        "version": 1,
    }
    assert shown.headers["etag"] == written.headers["etag"]
    assert shown.headers["etag"].endswith('.1"')
    again = await client.get("/parts/LED-5MM-RED/stock", headers={"If-None-Match": shown.headers["etag"]})
    assert again.status_code == 304


async def test_a_published_part_without_stock_has_zero_available(
    client: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    await open_shop(admin)

    shown = await client.get("/parts/LED-5MM-RED/stock")

    assert (shown.json()["available"], shown.json()["version"]) == (0, 0)
    assert (await client.get("/parts/NO-SUCH/stock")).status_code == 404


async def test_batch_has_a_result_per_item_in_order(admin: httpx.AsyncClient) -> None:
    await stock(admin, 5)
    items = [{"part_id": "LED-5MM-RED", "delta": -3}, {"part_id": "NO-SUCH", "delta": 1, "kind": "adjusted"}]
    items.append({"part_id": "LED-5MM-RED", "delta": -3})

    response = await admin.post("/admin/stock/batch", json={"adjustments": items, "reason": "stocktaking"})

    body = response.json()
    assert response.status_code == 200
    assert body["results"][0]["level"]["on_hand"] == 2
    assert body["results"][1]["error"]["reason"] == "PART_NOT_FOUND"
    assert body["results"][2]["error"]["reason"] == "INSUFFICIENT_STOCK"
    assert (body["applied"], body["refused"]) == (1, 2)


async def test_the_ledger_lists_movements_and_they_can_be_reversed(admin: httpx.AsyncClient) -> None:
    await stock(admin, 5)
    await admin.post(f"{STOCK}/adjust", json={"delta": -3, "reason": "broken"})

    reversal = await admin.post("/admin/movements/LED-5MM-RED/main/2/reverse", json={"reason": "found again"})
    movements = (await admin.get(f"{STOCK}/movements")).json()["items"]

    assert reversal.json()["level"]["on_hand"] == 5
    assert [(item["version"], item["kind"], item["on_hand_after"]) for item in movements][:2] == [
        (3, "reversed", 5),
        (2, "adjusted", 2),
    ]
    assert movements[1]["reason"] == "broken"
    assert movements[1]["actor"] == "admin"


async def test_stock_at_a_timestamp_is_read_from_the_ledger(admin: httpx.AsyncClient) -> None:
    await stock(admin, 5)
    timestamp = (await admin.get(f"{STOCK}/movements")).json()["items"][0]["occurred_at"]
    await admin.post(f"{STOCK}/adjust", json={"delta": -3, "reason": "broken"})

    then = await admin.get(STOCK, params={"at": timestamp})
    now = await admin.get(STOCK)
    future = await admin.get(STOCK, params={"at": "2999-01-01T00:00:00Z"})

    assert then.json()["on_hand"] == 5
    assert now.json()["on_hand"] == 2
    assert future.status_code == 422


async def test_stock_is_transferred_between_locations(admin: httpx.AsyncClient) -> None:
    await stock(admin, 5)
    await admin.post("/admin/locations", json={"location_id": "annex", "name": "The annex"})

    moved = await admin.post(
        "/admin/stock/transfer", json={"part_id": "LED-5MM-RED", "to_location_id": "annex", "quantity": 2}
    )

    assert moved.status_code == 200
    assert moved.json()["from_level"]["on_hand"] == 3
    assert moved.json()["to_level"]["on_hand"] == 2
    listed = (await admin.get("/admin/locations")).json()["items"]
    assert [item["location_id"] for item in listed] == ["annex", "main"]


async def test_a_reservation_is_held_extended_and_committed(admin: httpx.AsyncClient) -> None:
    await open_shop(admin)
    await stock(admin, 5)

    held = await admin.post(
        "/reservations", json={"lines": [{"part_id": "LED-5MM-RED", "quantity": 4}], "ttl_seconds": 60}
    )
    short = await admin.post("/reservations", json={"lines": [{"part_id": "LED-5MM-RED", "quantity": 2}]})

    assert held.status_code == 201
    reservation = held.json()
    assert (reservation["state"], reservation["lines"][0]["quantity"]) == ("held", 4)
    assert (short.status_code, short.json()["reason"]) == (409, "INSUFFICIENT_STOCK")
    address = f"/reservations/{reservation['reservation_id']}"
    assert (await admin.post(f"{address}/extend", json={"ttl_seconds": 120})).status_code == 200
    assert (await admin.post(f"{address}/commit")).json()["state"] == "committed"
    again = await admin.post(f"{address}/release")
    assert (again.status_code, again.json()["reason"]) == (409, "RESERVATION_NOT_HELD")
    assert (await admin.get(address)).json()["state"] == "committed"
