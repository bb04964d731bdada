"""Writes that say what they replace."""

import json

import httpx
import pytest

from tests.edge.routes.shop import PART, open_shop, stock

STOCK = "/admin/parts/LED-5MM-RED/stock"


@pytest.mark.parametrize("tag", ['"3"', '"1", "3"', 'W/"1", "3"', ' "3" ,', '"3-low"', "*"])
async def test_any_strong_tag_of_what_is_there_will_do(admin: httpx.AsyncClient, tag: str) -> None:
    for version in range(3):
        await admin.put(STOCK, json={"on_hand": 40, "expected_version": version})

    answer = await admin.put(STOCK, json={"on_hand": 41}, headers={"If-Match": tag})

    assert (answer.status_code, answer.json()["version"]) == (200, 4)


@pytest.mark.parametrize("tag", ['"1"', 'W/"2"', '"a", "b"', '"sum-2"', '"99999999999999999999"', '""'])
async def test_a_tag_of_anything_else_is_412_with_what_is_there(admin: httpx.AsyncClient, tag: str) -> None:
    """A weak tag never matches (RFC 9110, 13.1.1); one we never gave out is as good as a stale one."""
    await stock(admin, 40)
    await admin.put(STOCK, json={"on_hand": 41, "expected_version": 1})

    answer = await admin.put(STOCK, json={"on_hand": 42}, headers={"If-Match": tag})

    assert (answer.status_code, answer.json()["reason"]) == (412, "VERSION_CONFLICT")
    assert answer.json()["current"]["on_hand"] == 41


@pytest.mark.parametrize("tag", ["", "2", '"2', '"2" "3"', "W/*", '"2", x'])
async def test_what_is_no_tag_is_called_unreadable(admin: httpx.AsyncClient, tag: str) -> None:
    answer = await admin.put(STOCK, json={"on_hand": 42}, headers={"If-Match": tag})

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "If-Match")


async def test_two_conditions_must_agree(admin: httpx.AsyncClient) -> None:
    await stock(admin, 40)

    torn = await admin.put(STOCK, json={"on_hand": 42, "expected_version": 2}, headers={"If-Match": '"1"'})
    stale = await admin.put(STOCK, json={"on_hand": 42, "expected_version": 9}, headers={"If-Match": "*"})
    both = await admin.put(STOCK, json={"on_hand": 42, "expected_version": 1}, headers={"If-Match": '"1"'})

    assert torn.status_code == 400
    assert stale.status_code == 409  # it is the body that is stale
    assert both.status_code == 200


async def test_the_sum_of_versions_is_no_version_of_a_level(admin: httpx.AsyncClient) -> None:
    """With levels of versions 2 and 1 the sum 3 was the ETag, and matched the first level once that got to 3."""
    await admin.post("/admin/locations", json={"location_id": "annex", "name": "The annex"})
    await stock(admin, 40)
    await admin.put(STOCK, json={"on_hand": 39, "expected_version": 1})
    await admin.put(STOCK, json={"on_hand": 5, "location_id": "annex", "expected_version": 0})
    seen = await admin.get(STOCK)
    await admin.put(STOCK, json={"on_hand": 38, "expected_version": 2})

    blind = await admin.put(STOCK, json={"on_hand": 60}, headers={"If-Match": seen.headers["etag"]})

    assert (blind.status_code, blind.json()["current"]["on_hand"]) == (412, 38)


async def test_conflict_over_a_long_text_shows_it(admin: httpx.AsyncClient) -> None:
    """The text was too large for the trailers of gRPC, so that the answer was 503: try again."""
    await open_shop(admin)
    body = {**PART, "part_id": "LONG", "description": "ä" * 90_000}
    await admin.post("/admin/parts", json=body)
    await admin.put("/admin/parts/LONG", json={**body, "title": "Second", "expected_version": 1})

    stale = await admin.put("/admin/parts/LONG", json={**body, "title": "Third", "expected_version": 1})

    problem = stale.json()
    assert (stale.status_code, problem["reason"]) == (409, "VERSION_CONFLICT")
    assert (problem["current"]["title"], problem["current"]["description"]) == ("Second", body["description"])
    assert problem["changed_by"] == "admin"
    assert problem["changed_at"].endswith("Z")


async def test_a_thousand_faults_are_still_a_refusal(admin: httpx.AsyncClient) -> None:
    """They were too large for the trailers of gRPC, so that the answer was 503: try again."""
    items = [{"part_id": "LED-5MM-RED", "delta": 0}] * 1000

    answer = await admin.post("/admin/stock/batch", json={"adjustments": items, "reason": "stocktaking"})

    problem = answer.json()
    assert (answer.status_code, problem["reason"]) == (422, "FIELD_INVALID")
    assert len(problem["errors"]) + int(problem["metadata"]["left_out"]) == 1000
    assert problem["errors"][0]["field"] == "adjustments[0].delta"


async def test_a_hundred_short_lines_are_still_a_refusal(admin: httpx.AsyncClient) -> None:
    part_ids = [f"{at}-{'x' * 60}" for at in range(100)]
    await open_shop(admin, *part_ids)
    for part_id in part_ids:
        await admin.put(f"/admin/parts/{part_id}/stock", json={"on_hand": 1, "expected_version": 0})

    answer = await admin.post("/reservations", json={"lines": [{"part_id": p, "quantity": 2} for p in part_ids]})

    problem = answer.json()
    assert (answer.status_code, problem["reason"]) == (409, "INSUFFICIENT_STOCK")
    assert len(json.loads(problem["metadata"]["lines"])) + int(problem["metadata"]["left_out"]) == 100
