"""Unpublished parts do not exist for the public: no page, no stock, no reservation."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.edge.routes.shop import PART, open_shop, seen, stock

HIDDEN = "NOT-OUT-YET"


@pytest.fixture
async def hidden(request: pytest.FixtureRequest, admin: httpx.AsyncClient) -> str:
    """A part with stock that is not published: a draft, an archived one, one without content."""
    await open_shop(admin)
    if request.param != "unknown":
        made = await admin.post("/admin/parts", json={**PART, "part_id": HIDDEN, "status": request.param})
        assert made.status_code == 201, made.text
    await stock(admin, 42, HIDDEN)
    return HIDDEN


every_kind = pytest.mark.parametrize("hidden", ["draft", "archived", "unknown"], indirect=True)


def problem(response: httpx.Response, part_id: str) -> dict[str, Any]:
    """Return a problem without the ids of the part and of the request."""
    document: dict[str, Any] = response.json()
    return {**document, "request_id": "", "detail": document["detail"].replace(part_id, "ID"), "metadata": ""}


def cart(part_id: str) -> dict[str, Any]:
    return {"lines": [{"part_id": part_id, "quantity": 2}]}


@every_kind
async def test_an_unpublished_part_is_like_an_unknown_one(client: httpx.AsyncClient, hidden: str) -> None:
    for read in ("/parts/{}", "/parts/{}/stock"):
        response, never = await client.get(read.format(hidden)), await client.get(read.format("never"))
        assert response.status_code == 404
        assert problem(response, hidden) == problem(never, "never")

    held, never_held = (
        await client.post("/reservations", json=cart(hidden)),
        await client.post("/reservations", json=cart("never")),
    )
    assert held.status_code == never_held.status_code
    assert problem(held, hidden) == problem(never_held, "never")


@every_kind
async def test_staff_can_read_the_stock_of_an_unpublished_part(admin: httpx.AsyncClient, hidden: str) -> None:
    read = await admin.get(f"/parts/{hidden}/stock")

    assert (read.status_code, read.json()["available"]) == (200, 42)
    assert read.headers["cache-control"].startswith("private")
    assert (await admin.get(f"/admin/parts/{hidden}/stock")).json()["on_hand"] == 42


async def status(admin: httpx.AsyncClient, value: str) -> httpx.Response:
    part_id = PART["part_id"]
    version = (await admin.get(f"/admin/parts/{part_id}")).json()["version"]
    body = {**PART, "status": value, "expected_version": version}
    response = await admin.put(f"/admin/parts/{part_id}", json=body)
    assert response.status_code == 200, response.text
    return response


async def test_publishing_and_unpublishing_are_effective_immediately(
    client: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    part_id = PART["part_id"]
    await open_shop(admin)
    await stock(admin, 50)

    for _ in range(5):
        await status(admin, "draft")
        assert (await client.get(f"/parts/{part_id}/stock")).status_code == 404
        await status(admin, "published")
        assert (await client.get(f"/parts/{part_id}/stock")).status_code == 200
        assert (await client.post("/reservations", json=cart(part_id))).status_code == 201


async def test_a_read_with_the_token_of_the_write_includes_the_part(
    client: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    part_id = PART["part_id"]
    await open_shop(admin)
    await stock(admin, 50)
    hidden = await status(admin, "archived")

    assert (await client.get(f"/parts/{part_id}/stock", headers=seen(hidden))).status_code == 404
    shown = await status(admin, "published")
    assert (await client.get(f"/parts/{part_id}/stock", headers=seen(shown))).status_code == 200


async def test_public_responses_have_no_staff_fields(client: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    await open_shop(admin)
    await stock(admin, 5)

    read = (await client.get(f"/parts/{PART['part_id']}/stock")).json()

    assert read == {"part_id": PART["part_id"], "available": 5, "in_stock": True, "low_stock": False, "version": 1}
