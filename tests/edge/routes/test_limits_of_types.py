"""Numbers and times at the limits of their types, in every parameter and body: never a 5xx.

`1_0`, ` 1`, `01` and the digits of other scripts are no numbers of a path.
"""

import itertools
import json
from typing import Any

import httpx
import pytest

from tests.edge.routes.shop import PART, open_shop, stock

STOCK = "/admin/parts/LED-5MM-RED/stock"
TIMES = (
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+01:00",
    "0001-01-01T00:00:00+14:00",
    "0001-01-01T00:00:00-23:59",
    "9999-12-31T23:59:59-01:00",
    "9999-12-31T23:59:59.999999Z",
    "9999-12-31T23:59:59.999999999999Z",
    "9999-12-31T23:59:59+23:59",
    "0000-01-01T00:00:00Z",
    "2026-02-30T00:00:00Z",
    "2026-01-01T00:00:00+99:99",
)
INTEGERS = (0, -1, 1, 2**31, 2**53 + 1, 9 * 10**15, 9 * 10**15 + 1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 10**30)
NUMBERS: tuple[Any, ...] = (*INTEGERS, 1.5, -0.0, 5e-324, 1.7976931348623157e308)


async def parameters(client: httpx.AsyncClient) -> list[tuple[str, str, dict[str, Any]]]:
    """Return every query parameter of every read: address, name, schema."""
    document = (await client.get("http://edge/schema/openapi.json")).json()
    fill = {"part_id": "LED-5MM-RED", "location_id": "main"}
    found = []
    for path, operations in document["paths"].items():
        for parameter in operations.get("get", {}).get("parameters", ()):
            if parameter["in"] == "query":
                address = path.removeprefix("/api/v1").format_map(fill) if set(_names(path)) <= set(fill) else ""
                found += [(address, parameter["name"], parameter["schema"])] if address else []
    return found


def _names(path: str) -> list[str]:
    return [piece[1:-1] for piece in path.split("/") if piece.startswith("{")]


async def test_times_at_the_ends_of_the_calendar(admin: httpx.AsyncClient) -> None:
    await open_shop(admin)
    await stock(admin, 5)
    times = [(address, name) for address, name, schema in await parameters(admin) if "date-time" in json.dumps(schema)]

    responses = {
        (address, name, time): await admin.get(address, params={name: time})
        for (address, name), time in itertools.product(times, TIMES)
    }

    assert {name for _, name in times} >= {"since", "until", "at"}
    assert len(times) >= 6
    for case, response in responses.items():
        assert response.status_code in {200, 400, 422}, (case, response.text)
        if response.status_code != 200:
            assert response.json()["reason"] == "FIELD_INVALID", case
    wrong = {time for (_, _, time), response in responses.items() if response.status_code == 400}
    assert wrong == {"2026-02-30T00:00:00Z", "2026-01-01T00:00:00+99:99"}


async def test_numbers_of_a_query_are_ascii_digits(admin: httpx.AsyncClient) -> None:
    await open_shop(admin)
    await stock(admin, 5)
    numbers = [
        (address, name) for address, name, schema in await parameters(admin) if '"integer"' in json.dumps(schema)
    ]
    spellings = ("1e2", "1.0", "1_0", "+5", " 5", "5 ", "05", "-0", "\u0663", "0x10", "", "true", "9" * 5000)

    for address, name in numbers:
        for text in (*spellings, *map(str, INTEGERS)):
            response = await admin.get(address, params={name: text})
            allowed = {400} if text in spellings[:-1] else {200, 400, 422}
            assert response.status_code in allowed, (address, name, text, response.text)
    assert len(numbers) >= 6


@pytest.mark.parametrize("text", ["1_0", "1_", "\u0663", " 1", "1 ", "01", "+1", "-1", "1.0", "1e0", "0x1", "9" * 5000])
async def test_a_number_of_a_path_has_one_spelling(admin: httpx.AsyncClient, text: str) -> None:
    await open_shop(admin)
    await stock(admin, 5)

    response = await admin.post(f"/admin/movements/LED-5MM-RED/main/{text}/reverse", json={"reason": "x"})

    assert response.status_code == 404
    assert (await admin.get(STOCK)).json()["on_hand"] == 5


async def test_a_number_of_a_path_out_of_range(admin: httpx.AsyncClient) -> None:
    for number in INTEGERS:
        response = await admin.post(f"/admin/movements/LED-5MM-RED/main/{number}/reverse", json={"reason": "x"})
        assert response.status_code in {404, 422}, (number, response.text)


BODIES: list[tuple[str, str, dict[str, Any]]] = [
    ("PUT", STOCK, {"on_hand": 5, "expected_version": 1}),
    ("POST", f"{STOCK}/adjust", {"delta": 1, "reason": "x", "expected_version": 1}),
    ("PUT", f"{STOCK}/reorder-point", {"reorder_point": 1, "expected_version": 1}),
    ("POST", f"{STOCK}/archive", {"reason": "x", "expected_version": 1}),
    ("POST", "/admin/stock/batch", {"reason": "x", "adjustments": [{"part_id": "LED-5MM-RED", "delta": 1}]}),
    ("POST", "/admin/stock/transfer", {"part_id": "LED-5MM-RED", "to_location_id": "main", "quantity": 1}),
    ("POST", "/reservations", {"lines": [{"part_id": "LED-5MM-RED", "quantity": 1}], "ttl_seconds": 60}),
    ("PUT", "/admin/parts/LED-5MM-RED", {**PART, "expected_version": 1}),
    ("POST", "/admin/categories", {"category_id": "x", "name": "X", "position": 1}),
]


def with_numbers(body: Any) -> list[tuple[str, Any]]:
    """Yield the body once for each number and each extreme value, with the changed field."""
    found: list[tuple[str, Any]] = []
    items = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for key, value in items:
        below = [(".1", number) for number in NUMBERS] if type(value) in {int, float} else with_numbers(value)
        for place, changed in below:
            copy = dict(body) if isinstance(body, dict) else list(body)
            copy[key] = changed
            found.append((f"{key}{place if place != '.1' else ''}", copy))
    return found


@pytest.mark.parametrize(("method", "address", "body"), BODIES, ids=[case[1] for case in BODIES])
async def test_numbers_of_a_body(admin: httpx.AsyncClient, method: str, address: str, body: dict[str, Any]) -> None:
    await open_shop(admin)
    await stock(admin, 5)

    for place, changed in with_numbers(body):
        response = await admin.request(method, address, json=changed)
        assert response.status_code < 500, (place, changed, response.text)


@pytest.mark.parametrize("number", ["1e999", "-1e999", "9" * 400, "1" + "0" * 5000, "0." + "0" * 400 + "1", "1E400"])
async def test_a_number_beyond_every_type(admin: httpx.AsyncClient, number: str) -> None:
    await open_shop(admin)
    await stock(admin, 5)
    whole = json.dumps({**PART, "specifications": {"x": 0}, "expected_version": 1}).replace(
        '{"x": 0}', f'{{"x": {number}}}'
    )

    responses = [
        await admin.request(method, address, content=content, headers={"Content-Type": "application/json"})
        for method, address, content in (
            ("PUT", STOCK, f'{{"on_hand": {number}, "expected_version": 1}}'),
            ("POST", f"{STOCK}/adjust", f'{{"delta": {number}, "reason": "x"}}'),
            ("PUT", "/admin/parts/LED-5MM-RED", whole),
        )
    ]

    assert all(response.status_code < 500 for response in responses), [response.text for response in responses]
