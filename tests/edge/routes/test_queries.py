"""Every route accepts only the query parameters of the OpenAPI document, each once."""

import json
from typing import Any

import httpx
import pytest

from tests.edge.routes.shop import PART, open_shop

FILLERS = {
    "part_id": "LED-5MM-RED",
    "category_id": "leds",
    "location_id": "main",
    "service": "inventory",
    "name": "audit",
    "version": "1",
    "user_id": "00000000-0000-0000-0000-000000000001",
    "session_id": "00000000-0000-0000-0000-000000000001",
    "reservation_id": "00000000-0000-0000-0000-000000000001",
}


async def operations(client: httpx.AsyncClient) -> list[tuple[str, str, dict[str, Any]]]:
    document = (await client.get("http://edge/schema/openapi.json")).json()
    return [
        (path.format(**FILLERS), method.upper(), operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if path.startswith("/api/v1")
    ]


async def test_an_unknown_query_parameter_is_400_on_every_route(admin: httpx.AsyncClient) -> None:
    found = await operations(admin)

    for path, method, _ in found:
        response = await admin.request(method, f"http://edge{path}?colour=red", json={})
        assert response.status_code == 400, (method, path, response.text)
        assert response.json()["errors"] == [{"field": "colour", "message": "Unknown query parameter."}]
    assert len(found) > 40


async def test_a_repeated_query_parameter_is_400_on_every_route_that_has_it(admin: httpx.AsyncClient) -> None:
    tried = 0
    for path, method, operation in await operations(admin):
        for parameter in operation.get("parameters", ()):
            if parameter["in"] != "query" or "array" in json.dumps(parameter["schema"]):
                continue
            name = parameter["name"]
            response = await admin.request(method, f"http://edge{path}?{name}=1&{name}=1")
            assert response.status_code == 400, (method, path, name, response.text)
            assert response.json()["errors"] == [{"field": name, "message": "The query parameter is given twice."}]
            tried += 1
    assert tried > 30


@pytest.mark.parametrize(
    "query",
    [
        "=1",
        "page_size=1&&=",
        "page_size=1&page_size=2&colour=red",
        "Page_size=1",
        "page_size%20=1",
        "page%5Fsize=1&page_size=1",
        "colour",
    ],
)
async def test_an_invalid_name_is_400(client: httpx.AsyncClient, query: str) -> None:
    assert (await client.get(f"/parts?{query}")).status_code == 400


async def test_known_parameters_are_served(client: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    await open_shop(admin)

    empty = await client.get("/parts?q=&in_stock=false&page%5Fsize=1&")
    head = await client.head("/parts?page_size=1")
    options = await client.options("/parts?anything=1")

    assert (empty.status_code, empty.json()["items"][0]["part_id"]) == (200, PART["part_id"])
    assert (head.status_code, options.status_code) == (200, 204)
