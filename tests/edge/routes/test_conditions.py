"""Conditional requests: If-Match, If-None-Match and expected_version."""

import json
import re
import uuid
from functools import partial

import httpx
import psycopg
import pytest

from tests.edge.routes.shop import PART, open_shop, stock
from tests.flow.eventually import eventually

STOCK = "/admin/parts/LED-5MM-RED/stock"


@pytest.mark.parametrize(
    "tags", ["{3}", "{1}, {3}", "W/{1}, {3}", " {3} ,", '{3}, "99999"', '"x", {3}, "y,z"', "{3-low}", "{3.gzip}", "*"]
)
async def test_one_strong_tag_of_the_current_version_is_enough(admin: httpx.AsyncClient, tags: str) -> None:
    """A list may contain tags of other resources, with higher versions."""
    epoch = await versions(admin, 3)

    response = await admin.put(STOCK, json={"on_hand": 41}, headers={"If-Match": written(tags, epoch)})

    assert (response.status_code, response.json()["version"]) == (200, 4)


@pytest.mark.parametrize(
    "tags",
    ["{1}", "W/{2}", "W/{2}, {1}", '"a", "b"', "{sum-2}", "{99999999999999999999}", '""', "{02}", '"elsewhere.2"'],
)
async def test_any_other_tag_is_412_with_the_current_state(admin: httpx.AsyncClient, tags: str) -> None:
    """A weak tag never matches (RFC 9110, 13.1.1); a tag that was never issued is like a stale one."""
    epoch = await versions(admin, 2)

    response = await admin.put(STOCK, json={"on_hand": 42}, headers={"If-Match": written(tags, epoch)})

    problem = response.json()
    assert (response.status_code, problem["reason"]) == (412, "VERSION_CONFLICT")
    assert problem["current"]["on_hand"] == 40
    assert problem["metadata"]["current_etag"] == f'"{epoch}.2"'
    # The detail names no expected version: the caller sent none.
    assert problem["detail"] == "No entity tag in If-Match matches: the stock of LED-5MM-RED at main is at version 2."
    assert "expected_version" not in problem["metadata"]


WRITES: list[tuple[str, str, dict[str, object]]] = [
    ("PUT", STOCK, {"on_hand": 41}),
    ("POST", f"{STOCK}/adjust", {"delta": 1, "reason": "x"}),
    ("PUT", f"{STOCK}/reorder-point", {"reorder_point": 3}),
    ("POST", f"{STOCK}/archive", {"reason": "x"}),
    ("POST", f"{STOCK}/restore", {"reason": "x"}),
    ("PUT", "/admin/parts/LED-5MM-RED", {key: value for key, value in PART.items() if key != "part_id"}),
]


@pytest.mark.parametrize(("method", "address", "body"), WRITES)
async def test_every_conditional_write_compares_the_same_way(
    admin: httpx.AsyncClient, method: str, address: str, body: dict[str, object]
) -> None:
    await open_shop(admin)
    await admin.put(STOCK, json={"on_hand": 0, "expected_version": 0})
    if address.endswith("/restore"):
        await admin.post(f"{STOCK}/archive", json={"reason": "x"})
    present = (await admin.get(address.removesuffix("/adjust").split("/stock/")[0])).headers["etag"]
    if "/stock" in address:
        present = (await admin.get(STOCK)).headers["etag"]
    body = {**body, "title": "Another"} if address.endswith("RED") else body

    weak = await admin.request(method, address, json=body, headers={"If-Match": f"W/{present}"})
    foreign = await admin.request(method, address, json=body, headers={"If-Match": f'"{uuid.uuid4().hex}.1"'})
    unreadable = await admin.request(method, address, json=body, headers={"If-Match": "7"})
    several = await admin.request(method, address, json=body, headers={"If-Match": f'"99999", {present}'})

    assert (weak.status_code, foreign.status_code, unreadable.status_code) == (412, 412, 400)
    assert (weak.json()["metadata"]["current_etag"], weak.json()["current"]["version"]) == (
        present,
        int(present.strip('"').split(".")[1]),
    )
    assert several.status_code == 200, several.text
    assert several.headers["etag"] not in {present, ""}


async def test_several_lines_of_a_header_are_one_list(admin: httpx.AsyncClient) -> None:
    epoch = await versions(admin, 2)

    response = await admin.put(STOCK, json={"on_hand": 41}, headers=[("If-Match", '"x"'), ("If-Match", f'"{epoch}.2"')])

    assert response.status_code == 200


async def test_a_repeated_request_with_a_list_is_replayed(admin: httpx.AsyncClient) -> None:
    epoch = await versions(admin, 2)
    headers = {"If-Match": f'"{epoch}.1", "{epoch}.2"', "Idempotency-Key": "once"}

    first = await admin.put(STOCK, json={"on_hand": 41}, headers=headers)
    again = await admin.put(STOCK, json={"on_hand": 41}, headers=headers)

    assert (first.status_code, again.status_code, again.headers["idempotent-replayed"]) == (200, 200, "true")
    assert again.json() == first.json()
    assert again.headers["etag"] == first.headers["etag"]


async def test_a_tag_of_version_0_only_creates(admin: httpx.AsyncClient) -> None:
    epoch = await versions(admin, 1)

    made = await admin.put(STOCK.replace("RED", "NEW"), json={"on_hand": 5}, headers={"If-Match": f'"{epoch}.0"'})
    missing = await admin.put(STOCK.replace("RED", "OLD"), json={"on_hand": 5}, headers={"If-Match": f'"{epoch}.1"'})
    there = await admin.put(STOCK, json={"on_hand": 5}, headers={"If-Match": f'"{epoch}.0"'})

    assert (made.status_code, missing.status_code, there.status_code) == (200, 412, 412)
    assert missing.json()["detail"].endswith("does not exist.")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ("{1}", 304),
        ("W/{1}", 304),
        ('"a,b", W/{1}, "x"', 304),
        ("*", 304),
        ('"1"', 200),
        ("{2}", 200),
        ("{1", 200),
        ("1", 200),
    ],
)
async def test_a_cached_read_compares_weakly(admin: httpx.AsyncClient, sent: str, status: int) -> None:
    await open_shop(admin)
    epoch = await versions(admin, 1)
    shown = await admin.get("/parts/LED-5MM-RED/stock")
    page = await admin.get("/parts/LED-5MM-RED")

    stock_again = await admin.get("/parts/LED-5MM-RED/stock", headers={"If-None-Match": written(sent, epoch)})
    tag = page.headers["etag"]
    page_again = await admin.get("/parts/LED-5MM-RED", headers={"If-None-Match": sent.replace("{1}", tag)})

    assert shown.headers["etag"] == f'"{epoch}.1"'
    assert (stock_again.status_code, page_again.status_code) == (status, status)


async def test_a_tag_of_the_previous_release_matches_until_a_restore(
    admin: httpx.AsyncClient, inventory_dsn: str
) -> None:
    """Such a tag is the version alone: `"2"`. After a restore another state may have that version."""
    await versions(admin, 2)

    kept = await admin.put(STOCK, json={"on_hand": 41}, headers={"If-Match": '"2"'})
    begin_epoch(inventory_dsn)
    rejected = await admin.put(STOCK, json={"on_hand": 42}, headers={"If-Match": '"3"'})

    assert (kept.status_code, rejected.status_code) == (200, 412)


async def test_no_tag_from_before_a_restore_matches(
    admin: httpx.AsyncClient, inventory_dsn: str, content_dsn: str
) -> None:
    """Otherwise a page cached before a restore counts as fresh after it, and an editor overwrites newer changes."""
    await open_shop(admin)
    await versions(admin, 2)
    addresses = ["/parts/LED-5MM-RED/stock", "/parts/LED-5MM-RED", "/parts", "/categories"]
    stale = {address: (await admin.get(address)).headers["etag"] for address in addresses}
    part = (await admin.get("/admin/parts/LED-5MM-RED")).headers["etag"]
    level = (await admin.get(STOCK)).headers["etag"]
    begin_epoch(inventory_dsn)
    begin_epoch(content_dsn)

    # Immediately, before the edge has the new epoch: the database compares.
    body = {key: value for key, value in PART.items() if key != "part_id"}
    by_level = await admin.put(STOCK, json={"on_hand": 555}, headers={"If-Match": level})
    by_part = await admin.put("/admin/parts/LED-5MM-RED", json=body, headers={"If-Match": part})

    assert (by_level.status_code, by_part.status_code) == (412, 412)
    for address in addresses:
        fresh = await eventually(partial(_fresh, admin, address, stale[address]))
        assert fresh.json()
    again = await admin.put(
        STOCK, json={"on_hand": 42}, headers={"If-Match": by_level.json()["metadata"]["current_etag"]}
    )
    assert again.status_code == 200


async def _fresh(client: httpx.AsyncClient, address: str, tag: str) -> httpx.Response | None:
    response = await client.get(address, headers={"If-None-Match": tag})
    return response if response.status_code == 200 else None


async def versions(admin: httpx.AsyncClient, count: int) -> str:
    """Write the level up to a version; return the epoch of its tags."""
    for version in range(count):
        response = await admin.put(STOCK, json={"on_hand": 40, "expected_version": version})
    epoch: str = response.headers["etag"].strip('"').split(".")[0]
    return epoch


def written(tags: str, epoch: str) -> str:
    """Return the tags of a template, where ``{7}`` stands for the tag of version 7."""
    return re.sub(r"\{(.*?)\}", rf'"{epoch}.\1"', tags)


def begin_epoch(dsn: str) -> None:
    """Begin an epoch, as the restore procedure does."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SELECT change_log_begin_epoch()")


@pytest.mark.parametrize("tag", ["", "2", '"2', '"2" "3"', "W/*", '"2", x', '*, "2"'])
async def test_an_invalid_tag_is_malformed(admin: httpx.AsyncClient, tag: str) -> None:
    response = await admin.put(STOCK, json={"on_hand": 42}, headers={"If-Match": tag})

    assert (response.status_code, response.json()["errors"][0]["field"]) == (400, "If-Match")


async def test_two_conditions_must_agree(admin: httpx.AsyncClient) -> None:
    await stock(admin, 40)

    torn = await admin.put(STOCK, json={"on_hand": 42, "expected_version": 2}, headers={"If-Match": '"1"'})
    stale = await admin.put(STOCK, json={"on_hand": 42, "expected_version": 9}, headers={"If-Match": "*"})
    both = await admin.put(STOCK, json={"on_hand": 42, "expected_version": 1}, headers={"If-Match": '"1"'})

    assert torn.status_code == 400
    assert stale.status_code == 409  # it is the body that is stale
    assert both.status_code == 200


async def test_the_sum_of_versions_is_no_version_of_a_level(admin: httpx.AsyncClient) -> None:
    """For versions 2 and 1 a sum of 3 as the ETag would match the first level once that has version 3."""
    await admin.post("/admin/locations", json={"location_id": "annex", "name": "The annex"})
    await stock(admin, 40)
    await admin.put(STOCK, json={"on_hand": 39, "expected_version": 1})
    await admin.put(STOCK, json={"on_hand": 5, "location_id": "annex", "expected_version": 0})
    seen = await admin.get(STOCK)
    await admin.put(STOCK, json={"on_hand": 38, "expected_version": 2})

    blind = await admin.put(STOCK, json={"on_hand": 60}, headers={"If-Match": seen.headers["etag"]})

    assert (blind.status_code, blind.json()["current"]["on_hand"]) == (412, 38)


async def test_a_conflict_over_a_long_text_returns_it(admin: httpx.AsyncClient) -> None:
    """A text too large for the gRPC trailers must not turn the conflict into a 503."""
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


async def test_a_thousand_violations_are_still_422(admin: httpx.AsyncClient) -> None:
    """Violations too large for the gRPC trailers must not turn the 422 into a 503."""
    items = [{"part_id": "LED-5MM-RED", "delta": 0}] * 1000

    response = await admin.post("/admin/stock/batch", json={"adjustments": items, "reason": "stocktaking"})

    problem = response.json()
    assert (response.status_code, problem["reason"]) == (422, "FIELD_INVALID")
    assert len(problem["errors"]) + int(problem["metadata"]["left_out"]) == 1000
    assert problem["errors"][0]["field"] == "adjustments[0].delta"


async def test_a_hundred_insufficient_lines_are_still_409(admin: httpx.AsyncClient) -> None:
    part_ids = [f"{at}-{'x' * 60}" for at in range(100)]
    await open_shop(admin, *part_ids)
    for part_id in part_ids:
        await admin.put(f"/admin/parts/{part_id}/stock", json={"on_hand": 1, "expected_version": 0})

    response = await admin.post("/reservations", json={"lines": [{"part_id": p, "quantity": 2} for p in part_ids]})

    problem = response.json()
    assert (response.status_code, problem["reason"]) == (409, "INSUFFICIENT_STOCK")
    assert len(json.loads(problem["metadata"]["lines"])) + int(problem["metadata"]["left_out"]) == 100
