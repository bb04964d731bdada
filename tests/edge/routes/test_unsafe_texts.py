"""Unsafe texts: rejected in requests, and never served when SQL has written them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from tests.edge.routes.shop import PART, open_shop, seen, stock

if TYPE_CHECKING:
    import httpx

PART_ID = str(PART["part_id"])
UNSAFE = "<p>Fine.</p><script>alert(1)</script>"
FORGED = "42)\n     9999 2026-01-01T00:00:00.000Z ~ stock_level RC-1001/main v99 on_hand: 5 → 0 admin (counted"
BAD = ["a\x1b]0;title\x07b", FORGED, "a\u202eb", "a\u2028b", "a\x85b", "a\x7fb", "a\0b"]
STOCK = f"/admin/parts/{PART_ID}/stock"

# Every route that accepts a text to store or show, with a place for the text.
WRITES: list[tuple[str, str, Any, str]] = [
    ("POST", "/reservations", {"lines": [{"part_id": PART_ID, "quantity": 1}], "order_reference": "{}"}, ""),
    ("PUT", STOCK, {"on_hand": 5, "reason": "{}", "expected_version": 1}, ""),
    ("POST", f"{STOCK}/adjust", {"delta": 1, "reason": "{}"}, ""),
    ("POST", "/admin/stock/batch", {"items": [{"part_id": PART_ID, "delta": 1, "reason": "{}"}]}, ""),
    ("POST", "/admin/locations", {"location_id": "east", "name": "{}"}, ""),
    ("POST", "/admin/categories", {"category_id": "lamps", "name": "{}"}, ""),
    ("POST", "/admin/parts", {**PART, "part_id": "NEW", "title": "{}"}, ""),
    ("POST", "/admin/parts", {**PART, "part_id": "NEW", "mpn": "{}"}, ""),
    ("POST", "/admin/parts", {**PART, "part_id": "NEW", "manufacturer": "{}"}, ""),
    ("POST", "/admin/parts", {**PART, "part_id": "NEW", "images": [{"url": "/a.png", "alt": "{}"}]}, ""),
    ("POST", "/admin/parts", {**PART, "part_id": "NEW", "description": "{}"}, "lines"),
    ("POST", "/admin/parts", {**PART, "part_id": "NEW", "summary": "{}"}, "lines"),
    ("POST", "/admin/parts", {**PART, "part_id": "NEW", "comment": "{}"}, "lines"),
    ("POST", "/admin/parts", {**PART, "part_id": "NEW", "specifications": {"colour": "{}"}}, "lines"),
    ("POST", "/admin/parts", {**PART, "part_id": "NEW", "specifications": {"{}": 1}}, "lines"),
    ("POST", "/admin/users", {"username": "{}", "password": "a long enough one", "roles": ["support"]}, ""),
    ("POST", "/auth/login", {"username": "{}", "password": "a long enough one"}, ""),
]


def filled(value: Any, text: str) -> Any:
    match value:
        case str():
            return text if value == "{}" else value
        case list():
            return [filled(item, text) for item in value]
        case dict():
            return {filled(name, text): filled(item, text) for name, item in value.items()}
        case _:
            return value


async def test_control_characters_are_rejected_in_every_body(admin: httpx.AsyncClient) -> None:
    await open_shop(admin)
    await stock(admin, 10)
    accepted = []
    for method, path, body, lines in WRITES:
        for bad in BAD:
            if lines and bad == FORGED:
                continue
            response = await admin.request(method, path, json=filled(body, bad))
            if response.status_code != 422:
                accepted.append((path, body, bad, response.status_code, response.text))
    assert not accepted


async def test_unusual_but_valid_text_is_accepted(admin: httpx.AsyncClient) -> None:
    await open_shop(admin)
    await stock(admin, 10)
    order = {"lines": [{"part_id": PART_ID, "quantity": 1}], "order_reference": "№ 42 — 👩\u200d🔧 (א) \\u0000"}
    described = {**PART, "part_id": "NEW", "description": "One line.\n\tAnother.", "summary": "a\nb"}

    reserved = await admin.post("/reservations", json=order)
    created = await admin.post("/admin/parts", json=described)

    assert reserved.status_code == 201, reserved.text
    assert created.status_code == 201, created.text


@pytest.mark.parametrize("text", ["%00", "%0A", "%1b%5B2J", "%E2%80%AE", "%C2%85"])
async def test_control_characters_are_rejected_in_queries(client: httpx.AsyncClient, text: str) -> None:
    response = await client.get(f"/parts?q=a{text}b")

    assert (response.status_code, response.json()["reason"]) == (422, "FIELD_INVALID")


async def test_html_written_by_sql_is_never_served(
    admin: httpx.AsyncClient, client: httpx.AsyncClient, content_dsn: str
) -> None:
    await open_shop(admin)
    await stock(admin, 10)
    connection = await asyncpg.connect(content_dsn)
    await connection.execute("UPDATE part SET description = $1 WHERE part_id = $2", UNSAFE, PART_ID)
    await connection.close()

    staff = await admin.get(f"/admin/parts/{PART_ID}")
    listed = await admin.get("/admin/parts")
    page = await client.get(f"/parts/{PART_ID}", headers=seen(staff))
    again = await client.get(f"/parts/{PART_ID}", headers=seen(staff))

    assert [response.status_code for response in (staff, listed, page, again)] == [200] * 4
    assert "<script" not in page.text + again.text + staff.text + listed.text
    assert page.json()["description"] == "<p>Fine.</p>"
    assert "description_sanitised" not in page.json()
    assert (staff.json()["version"], staff.json()["description_sanitised"]) == (2, True)
    assert [part["description_sanitised"] for part in listed.json()["items"]] == [True]
