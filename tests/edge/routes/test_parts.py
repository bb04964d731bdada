"""Content: created and replaced by staff, public when published."""

import httpx
import pytest

from tests.edge.routes.shop import PART, open_shop, seen, stock


async def test_created_part_has_version_1_and_a_location_header(admin: httpx.AsyncClient) -> None:
    await admin.post("/admin/categories", json={"category_id": "leds", "name": "LEDs"})

    created = await admin.post("/admin/parts", json=PART)

    assert created.status_code == 201
    assert created.headers["location"] == "/api/v1/parts/LED-5MM-RED"
    body = created.json()
    assert body["version"] == 1
    assert {name: body[name] for name in ("title", "price", "specifications")} == {
        name: PART[name] for name in ("title", "price", "specifications")
    }


async def test_product_page_has_content_and_stock_in_one_body(
    client: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    await open_shop(admin)
    level = await stock(admin, 40)

    page = await client.get("/parts/LED-5MM-RED")

    body = page.json()
    assert body["category"] == {"category_id": "leds", "name": "LEDs", "path": ["LEDs"]}
    assert body["stock"] == {"available": 40, "in_stock": True, "low_stock": False, "version": level["version"]}
    assert body["content_version"] == 1
    assert "cost" not in body
    assert page.headers["cache-status"]
    assert page.headers["vary"] == "Accept-Encoding, Authorization, Cookie"


async def test_summary_view_and_fields_reduce_the_page(client: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    await open_shop(admin)

    summary = await client.get("/parts/LED-5MM-RED", params={"view": "summary"})
    fields = await client.get("/parts/LED-5MM-RED", params={"fields": "title,stock"})
    unknown = await client.get("/parts/LED-5MM-RED", params={"fields": "title,cost"})

    assert "description" not in summary.json()
    assert set(fields.json()) == {"title", "stock"}
    assert unknown.status_code == 400
    assert unknown.json()["errors"][0]["field"] == "fields"


async def test_unchanged_page_is_304(client: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    await open_shop(admin)
    first = await client.get("/parts/LED-5MM-RED")

    again = await client.get("/parts/LED-5MM-RED", headers={"If-None-Match": first.headers["etag"]})
    written = await admin.put("/admin/parts/LED-5MM-RED/stock", json={"on_hand": 1, "expected_version": 0})
    changed = await client.get("/parts/LED-5MM-RED", headers={"If-None-Match": first.headers["etag"], **seen(written)})

    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert changed.status_code == 200


async def test_large_pages_are_compressed_as_the_client_accepts(
    client: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    await open_shop(admin)
    long = {**PART, "description": "<p>" + "word " * 1000 + "</p>", "expected_version": 1}
    written = await admin.put("/admin/parts/LED-5MM-RED", json=long)
    headers = seen(written)

    responses = {
        coding: await client.get("/parts/LED-5MM-RED", headers={"Accept-Encoding": coding, **headers})
        for coding in ("zstd", "br", "gzip", "identity")
    }

    assert {name: response.headers.get("content-encoding", "identity") for name, response in responses.items()} == {
        "zstd": "zstd",
        "br": "br",
        "gzip": "gzip",
        "identity": "identity",
    }
    assert len({response.text for response in responses.values()}) == 1
    assert len({response.headers["etag"] for response in responses.values()}) == 4


async def test_a_replacement_requires_the_current_version(admin: httpx.AsyncClient) -> None:
    await open_shop(admin)
    change = {**PART, "title": "Red LED"}

    missing = await admin.put("/admin/parts/LED-5MM-RED", json=change)
    replaced = await admin.put("/admin/parts/LED-5MM-RED", json={**change, "expected_version": 1})
    stale = await admin.put("/admin/parts/LED-5MM-RED", json={**change, "expected_version": 1})
    stale_tag = await admin.put("/admin/parts/LED-5MM-RED", json=change, headers={"If-Match": '"1"'})

    assert (missing.status_code, missing.json()["reason"]) == (428, "VERSION_REQUIRED")
    assert (replaced.status_code, replaced.json()["version"]) == (200, 2)
    assert (stale.status_code, stale.json()["reason"]) == (409, "VERSION_CONFLICT")
    assert stale.json()["current"]["title"] == "Red LED"
    assert stale.json()["changed_by"] == "admin"
    assert stale.json()["changed_at"]
    assert stale_tag.status_code == 412
    assert stale_tag.json()["current"]["version"] == 2


async def test_a_part_can_be_created_once(admin: httpx.AsyncClient) -> None:
    await open_shop(admin)

    again = await admin.post("/admin/parts", json=PART)

    assert (again.status_code, again.json()["reason"]) == (409, "PART_EXISTS")


async def test_drafts_are_visible_to_staff_only(client: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    await open_shop(admin)
    await admin.post("/admin/parts", json={**PART, "part_id": "SECRET", "status": "draft"})

    assert (await client.get("/parts/SECRET")).status_code == 404
    assert (await admin.get("/admin/parts/SECRET")).json()["status"] == "draft"


async def test_unknown_part_is_a_problem(client: httpx.AsyncClient) -> None:
    response = await client.get("/parts/NO-SUCH-PART")

    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["reason"] == "PART_NOT_FOUND"
    assert response.json()["request_id"] == response.headers["partstream-request-id"]


async def test_pages_of_a_listing_follow_each_other(client: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    await open_shop(admin, "A-1", "B-2", "C-3", "D-4")
    query: dict[str, str | int] = {"category": "leds", "sort": "part_id", "page_size": 2}

    pages = [await client.get("/parts", params=query)]
    while token := pages[-1].json()["next_page_token"]:
        pages.append(await client.get("/parts", params={**query, "page_token": token}))

    found = [item["part_id"] for page in pages for item in page.json()["items"]]
    assert found == ["A-1", "B-2", "C-3", "D-4", "LED-5MM-RED"]


async def test_page_token_is_valid_for_its_filters_only(client: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    await open_shop(admin, "A-1", "B-2")
    token = (await client.get("/parts", params={"page_size": 1})).json()["next_page_token"]

    others = await client.get("/parts", params={"page_size": 1, "q": "led", "page_token": token})
    broken = await client.get("/parts", params={"page_size": 1, "page_token": token[:-4] + "AAAA"})

    assert (others.status_code, others.json()["reason"]) == (400, "PAGE_TOKEN_INVALID")
    assert (broken.status_code, broken.json()["reason"]) == (400, "PAGE_TOKEN_INVALID")


@pytest.mark.parametrize("in_stock", ["A-1 B-2", "A-1 B-2 LED-5MM-RED"])
async def test_listing_by_stock_has_no_empty_last_page(
    client: httpx.AsyncClient, admin: httpx.AsyncClient, in_stock: str
) -> None:
    """A full last page has no token when only parts out of stock follow."""
    await open_shop(admin, "A-1", "B-2", "C-3", "D-4", "E-5")
    for part_id in in_stock.split():
        await stock(admin, 1, part_id)

    query: dict[str, str | int] = {"in_stock": "true", "sort": "part_id", "page_size": 1}
    pages = [(await client.get("/parts", params=query)).json()]
    while token := pages[-1]["next_page_token"]:
        pages.append((await client.get("/parts", params={**query, "page_token": token})).json())

    assert [[item["part_id"] for item in page["items"]] for page in pages] == [[part] for part in in_stock.split()]


async def test_listing_by_stock_fills_each_page(client: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    await open_shop(admin, "A-1", "B-2", "C-3", "D-4")
    for part_id in ("B-2", "D-4", "LED-5MM-RED"):
        await stock(admin, 1, part_id)

    query: dict[str, str | int] = {"in_stock": "true", "sort": "part_id", "page_size": 2}
    first = (await client.get("/parts", params=query)).json()
    second = (await client.get("/parts", params={**query, "page_token": first["next_page_token"]})).json()

    assert [item["part_id"] for item in first["items"]] == ["B-2", "D-4"]
    assert [item["part_id"] for item in second["items"]] == ["LED-5MM-RED"]
    assert second["next_page_token"] == ""


async def test_category_tree_counts_parts(client: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    await open_shop(admin, "A-1")
    made = await admin.post("/admin/categories", json={"category_id": "red", "name": "Red", "parent_id": "leds"})

    tree = (await client.get("/categories", headers=seen(made))).json()["items"]
    one = (await client.get("/categories/leds")).json()

    assert [(node["category_id"], node["part_count"]) for node in tree] == [("leds", 2)]
    assert [node["category_id"] for node in tree[0]["children"]] == ["red"]
    assert [node["category_id"] for node in one["children"]] == ["red"]
    assert (await client.get("/categories/none")).json()["reason"] == "CATEGORY_NOT_FOUND"
