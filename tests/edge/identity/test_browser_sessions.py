"""Sessions in cookies: signed, revocable, and useless to other sites."""

from typing import Any

import httpx
import pytest

from chassis.database import Database
from edge.app import Edge
from tests.edge.conftest import ADMIN, PASSWORD

CREDENTIALS = {"username": ADMIN, "password": PASSWORD}
NEW_USER = {"username": "clerk", "password": "a long password"}

ENDS = {
    "revoked": "UPDATE session SET revoked_at = now()",
    "expired": "UPDATE session SET created_at = now() - interval '2 day', expires_at = now() - interval '1 day'",
    "idle": "UPDATE session SET last_seen_at = now() - interval '30 days'",
    "disabled": """ALTER TABLE "user" DISABLE TRIGGER USER; UPDATE "user" SET disabled_at = now()""",
    "forged": "SELECT",
}


@pytest.fixture
async def browser(edge: Edge) -> Any:
    """A client with a cookie jar, on localhost."""
    transport = httpx.ASGITransport(app=edge.asgi)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost/api/v1") as made:
        yield made


async def test_browser_signs_in_by_cookie_and_receives_no_token(browser: httpx.AsyncClient) -> None:
    opened = await browser.post("/auth/session", json=CREDENTIALS)

    assert opened.status_code == 201
    assert "access_token" not in opened.text
    cookie = opened.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Secure" not in cookie  # plain HTTP on this machine
    shown = (await browser.get("/auth/session")).json()
    assert shown == opened.json()
    assert "users:write" in shown["permissions"]


async def test_cookie_is_secure_everywhere_else(edge: Edge) -> None:
    transport = httpx.ASGITransport(app=edge.asgi)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="https://shop.example/api/v1") as browser:
        opened = await browser.post("/auth/session", json=CREDENTIALS)

    assert "Secure" in opened.headers["set-cookie"]


async def test_a_write_requires_the_csrf_token(browser: httpx.AsyncClient) -> None:
    csrf = (await browser.post("/auth/session", json=CREDENTIALS)).json()["csrf_token"]

    without = await browser.post("/admin/users", json=NEW_USER)
    wrong = await browser.post("/admin/users", json=NEW_USER, headers={"X-CSRF-Token": "0" * 64})
    right = await browser.post("/admin/users", json=NEW_USER, headers={"X-CSRF-Token": csrf})

    assert [response.status_code for response in (without, wrong, right)] == [403, 403, 201]
    assert without.json()["reason"] == "CSRF_TOKEN_MISSING"
    assert (await browser.get("/admin/users")).status_code == 200


async def test_signed_out_cookie_is_rejected(browser: httpx.AsyncClient) -> None:
    csrf = (await browser.post("/auth/session", json=CREDENTIALS)).json()["csrf_token"]
    cookie = browser.cookies["partstream_session"]

    closed = await browser.delete("/auth/session", headers={"X-CSRF-Token": csrf})

    assert closed.status_code == 204
    assert "partstream_session" not in browser.cookies
    kept = await browser.get("/admin/users", headers={"Cookie": f"partstream_session={cookie}"})
    assert (kept.status_code, kept.json()["reason"]) == (401, "TOKEN_REVOKED")


async def test_forged_cookie_is_rejected(browser: httpx.AsyncClient) -> None:
    await browser.post("/auth/session", json=CREDENTIALS)
    session_id = browser.cookies["partstream_session"].partition(".")[0]

    for cookie in (f"{session_id}.{'0' * 64}", f"{session_id}.é", session_id, "x"):
        response = await browser.get("/admin/users", headers=[(b"cookie", f"partstream_session={cookie}".encode())])
        assert (response.status_code, response.json()["reason"]) == (401, "TOKEN_INVALID")


@pytest.mark.parametrize("end", ["revoked", "expired", "idle", "disabled", "forged"])
async def test_an_old_cookie_is_a_guest_on_public_routes_and_is_removed(
    browser: httpx.AsyncClient, edge: Edge, database: Database, end: str
) -> None:
    """A browser sends an old cookie and cannot remove it, so a 401 would lock it out of the shop."""
    await browser.post("/auth/session", json=CREDENTIALS)
    await database.pool.execute(ENDS[end])
    if end == "forged":
        session_id = browser.cookies["partstream_session"].partition(".")[0]
        browser.cookies.set("partstream_session", f"{session_id}.{'0' * 64}", domain="localhost.local", path="/api/v1")
    kept = {"Cookie": f"partstream_session={browser.cookies['partstream_session']}"}
    browser.cookies.clear()

    guest = await browser.get("/auth/session", headers=kept)
    rejected = await browser.get("/admin/users", headers=kept)

    assert (guest.status_code, guest.json()) == (200, {"username": None})
    assert rejected.status_code == 401
    for response in (guest, rejected):
        (cookie,) = response.headers.get_list("set-cookie")
        assert cookie.startswith("partstream_session=")
        assert "Max-Age=0" in cookie
        assert "Path=/api/v1" in cookie
        assert "no-store" in response.headers["cache-control"]


async def test_an_invalid_bearer_token_is_rejected_on_public_routes(browser: httpx.AsyncClient) -> None:
    rejected = await browser.get("/auth/session", headers={"Authorization": "Bearer x"})

    assert (rejected.status_code, rejected.json()["reason"]) == (401, "TOKEN_INVALID")
    assert "set-cookie" not in rejected.headers


async def test_a_guest_has_no_name(browser: httpx.AsyncClient) -> None:
    shown = await browser.get("/auth/session")

    assert (shown.status_code, shown.json()) == (200, {"username": None})
