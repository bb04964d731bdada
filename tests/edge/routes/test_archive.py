"""Archive and restore stock levels."""

import httpx

from tests.edge.routes.shop import stock

STOCK = "/admin/parts/LED-5MM-RED/stock"


async def test_archived_level_does_not_move_until_restored(admin: httpx.AsyncClient) -> None:
    await stock(admin, 5)

    archived = await admin.post(f"{STOCK}/archive", json={"reason": "no longer sold"})
    rejected = await admin.post(f"{STOCK}/adjust", json={"delta": 1, "reason": "found"})
    restored = await admin.post(f"{STOCK}/restore", json={"reason": "sold again"})

    assert archived.status_code == 200, archived.text
    assert archived.json()["archived_at"]
    assert (rejected.status_code, rejected.json()["reason"]) == (409, "PART_ARCHIVED")
    assert restored.json()["archived_at"] is None


async def test_security_events_are_listed_for_auditors(admin: httpx.AsyncClient) -> None:
    await admin.post("/auth/login", json={"username": "admin", "password": "guess"})

    first = (await admin.get("/admin/security-events", params={"page_size": 1})).json()
    following = {"page_size": 1, "page_token": first["next_page_token"]}
    second = (await admin.get("/admin/security-events", params=following)).json()

    assert [page["items"][0]["kind"] for page in (first, second)] == ["login_failed", "login_succeeded"]
