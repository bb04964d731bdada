"""``/admin/alerts``: alerts of processes, by state and in pages."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import httpx

    from edge.app import Edge

NAME = "retention_held"
FIELDS = {
    "alert_id",
    "name",
    "subject",
    "state",
    "severity",
    "detail",
    "fired_at",
    "resolved_at",
    "resolution",
    "reporter",
}


async def listed(client: httpx.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    """Return the alerts of all pages."""
    items: list[dict[str, Any]] = []
    token = ""
    while True:
        response = await client.get("/admin/alerts", params={**query, "page_token": token} if token else query)
        assert response.status_code == 200, response.text
        items += response.json()["items"]
        if not (token := response.json()["next_page_token"]):
            return items


async def until(client: httpx.AsyncClient, number: int, state: str) -> list[dict[str, Any]]:
    """Return the alerts in a state when there are ``count``."""
    async with asyncio.timeout(30):
        while len(found := await listed(client, state=state)) != number:  # noqa: ASYNC110 - the signal is in the database
            await asyncio.sleep(0.02)
    return found


async def test_alerts_of_the_edge_are_listed_by_state(admin: httpx.AsyncClient, edge: Edge) -> None:
    edge.alerts.fire(NAME, "inventory/warehouse", "held at revision 7")
    (alert,) = await until(admin, 1, "firing")

    assert set(alert) == FIELDS
    assert (alert["name"], alert["subject"], alert["severity"]) == (NAME, "inventory/warehouse", "warning")
    assert (alert["detail"], alert["resolved_at"], alert["resolution"]) == ("held at revision 7", None, "")
    assert alert["reporter"] == edge.alerts.reporter
    assert await listed(admin, state="resolved") == []
    edge.alerts.resolve(NAME, "inventory/warehouse")
    (resolved,) = await until(admin, 1, "resolved")
    assert resolved["alert_id"] == alert["alert_id"]
    assert resolved["resolved_at"] > resolved["fired_at"]
    assert await listed(admin) == [resolved]


@pytest.mark.parametrize(("size", "pages"), [(2, 3), (5, 1), (6, 1)])
async def test_pages_are_newest_first_and_complete(admin: httpx.AsyncClient, edge: Edge, size: int, pages: int) -> None:
    for number in range(5):
        edge.alerts.fire(NAME, f"inventory/{number}", "")
    await until(admin, 5, "firing")

    found = [(await admin.get("/admin/alerts", params={"page_size": size})).json()]
    while token := found[-1]["next_page_token"]:
        query: dict[str, Any] = {"page_size": size, "page_token": token}
        found.append((await admin.get("/admin/alerts", params=query)).json())

    assert len(found) == pages
    subjects = [item["subject"] for page in found for item in page["items"]]
    assert subjects == [f"inventory/{number}" for number in reversed(range(5))]


async def test_invalid_queries_are_rejected(admin: httpx.AsyncClient, edge: Edge) -> None:
    for number in range(2):
        edge.alerts.fire(NAME, f"inventory/{number}", "")
    await until(admin, 2, "firing")
    token = (await admin.get("/admin/alerts", params={"page_size": 1})).json()["next_page_token"]

    for query in ({"state": "open"}, {"page_token": "x"}, {"page_token": token, "state": "firing"}):
        response = await admin.get("/admin/alerts", params=query)
        assert response.status_code == 400, (query, response.text)
