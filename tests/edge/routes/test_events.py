"""The change log over REST: from any cursor, in pages, with the permission to read changes."""

import httpx

from tests.edge.routes.shop import open_shop, stock

EVENTS = "/admin/events"


async def test_the_log_is_paged_from_its_start_and_continues_from_a_cursor(admin: httpx.AsyncClient) -> None:
    await stock(admin, 5)
    await admin.post("/admin/parts/LED-5MM-RED/stock/adjust", json={"delta": 2, "reason": "found"})

    first = (await admin.get(EVENTS, params={"page_size": 2})).json()
    second = (await admin.get(EVENTS, params={"from": first["cursor"]})).json()

    assert [item["revision"] for item in first["items"] + second["items"]] == [1, 2, 3]
    assert (first["end"], second["end"]) == (False, True)
    last = second["items"][-1]
    assert (last["entity"], last["entity_id"], last["operation"]) == ("stock_level", "LED-5MM-RED/main", "updated")
    assert (last["before"]["on_hand"], last["after"]["on_hand"]) == (5, 7)
    assert (last["origin"]["reason"], last["origin"]["source"]) == ("found", "service")


async def test_the_log_is_filtered_and_searched_by_time(admin: httpx.AsyncClient) -> None:
    await stock(admin, 5)

    levels = (await admin.get(EVENTS, params={"entity": "stock_level", "part_id": "LED-5MM-RED"})).json()["items"]
    since = {"since": levels[0]["committed_at"]}
    later = (await admin.get(EVENTS, params=since)).json()["items"]
    content = (await admin.get(EVENTS, params={"service": "content"})).json()["items"]

    assert [item["entity_id"] for item in levels] == ["LED-5MM-RED/main"]
    assert later[0]["revision"] == levels[0]["revision"]
    assert {item["entity"] for item in content} <= {"part", "category"}


async def test_a_request_can_name_several_parts(admin: httpx.AsyncClient) -> None:
    await open_shop(admin)
    await stock(admin, 5)

    both = (await admin.get(EVENTS, params={"part_id": ["LED-5MM-RED", "none-such"]})).json()
    none = (await admin.get(EVENTS, params={"part_id": "none-such"})).json()
    rejected = await admin.get(EVENTS, params={"part_id": "no/such"})
    content = (await admin.get(EVENTS, params={"service": "content", "part_id": "LED-5MM-RED"})).json()["items"]

    assert [item["entity_id"] for item in both["items"]] == ["LED-5MM-RED/main"]
    assert (none["items"], none["end"]) == ([], True)
    assert rejected.status_code in {400, 422}
    assert content
    assert {item["entity_id"] for item in content} == {"LED-5MM-RED"}


async def test_an_invalid_cursor_is_rejected(admin: httpx.AsyncClient) -> None:
    response = await admin.get(EVENTS, params={"from": "nonsense"})

    assert response.json()["reason"] == "CURSOR_MALFORMED"
    assert response.status_code == 400


async def test_guests_cannot_read_the_log(client: httpx.AsyncClient) -> None:
    assert (await client.get(EVENTS)).status_code == 401
