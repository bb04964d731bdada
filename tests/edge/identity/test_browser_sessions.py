"""Sessions in cookies: signed, revocable, and of no use to other sites."""

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
    """A client that keeps cookies, on the machine itself."""
    transport = httpx.ASGITransport(app=edge.asgi)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost/api/v1") as made:
        yield made


async def test_browser_signs_in_by_cookie_and_never_sees_a_token(browser: httpx.AsyncClient) -> None:
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


async def test_change_needs_the_token_of_the_page(browser: httpx.AsyncClient) -> None:
    csrf = (await browser.post("/auth/session", json=CREDENTIALS)).json()["csrf_token"]

    without = await browser.post("/admin/users", json=NEW_USER)
    wrong = await browser.post("/admin/users", json=NEW_USER, headers={"X-CSRF-Token": "0" * 64})
    right = await browser.post("/admin/users", json=NEW_USER, headers={"X-CSRF-Token": csrf})

    assert [response.status_code for response in (without, wrong, right)] == [403, 403, 201]
    assert without.json()["reason"] == "CSRF_TOKEN_MISSING"
    assert (await browser.get("/admin/users")).status_code == 200


async def test_signed_out_cookie_is_refused(browser: httpx.AsyncClient) -> None:
    csrf = (await browser.post("/auth/session", json=CREDENTIALS)).json()["csrf_token"]
    cookie = browser.cookies["partstream_session"]

    closed = await browser.delete("/auth/session", headers={"X-CSRF-Token": csrf})

    assert closed.status_code == 204
    assert "partstream_session" not in browser.cookies
    kept = await browser.get("/admin/users", headers={"Cookie": f"partstream_session={cookie}"})
    assert (kept.status_code, kept.json()["reason"]) == (401, "TOKEN_REVOKED")


async def test_made_up_cookie_is_refused(browser: httpx.AsyncClient) -> None:
    await browser.post("/auth/session", json=CREDENTIALS)
    session_id = browser.cookies["partstream_session"].partition(".")[0]

    for cookie in (f"{session_id}.{'0' * 64}", f"{session_id}.é", session_id, "x"):
        response = await browser.get("/admin/users", headers=[(b"cookie", f"partstream_session={cookie}".encode())])
        assert (response.status_code, response.json()["reason"]) == (401, "TOKEN_INVALID")


@pytest.mark.parametrize("end", ["revoked", "expired", "idle", "disabled", "forged"])
async def test_an_old_cookie_is_a_guest_on_public_routes_and_is_removed(
    browser: httpx.AsyncClient, edge: Edge, database: Database, end: str
) -> None:
    """The shop was closed with 401 to a browser that had an old cookie, which it sends unasked and cannot remove."""
    await browser.post("/auth/session", json=CREDENTIALS)
    await database.pool.execute(ENDS[end])
    if end == "forged":
        session_id = browser.cookies["partstream_session"].partition(".")[0]
        browser.cookies.set("partstream_session", f"{session_id}.{'0' * 64}", domain="localhost.local", path="/api/v1")
    kept = {"Cookie": f"partstream_session={browser.cookies['partstream_session']}"}
    browser.cookies.clear()

    guest = await browser.get("/auth/session", headers=kept)
    refused = await browser.get("/admin/users", headers=kept)

    assert (guest.status_code, guest.json()) == (200, {"username": None})
    assert refused.status_code == 401
    for response in (guest, refused):
        (cookie,) = response.headers.get_list("set-cookie")
        assert cookie.startswith("partstream_session=")
        assert "Max-Age=0" in cookie
        assert "Path=/api/v1" in cookie
        assert "no-store" in response.headers["cache-control"]


async def test_a_bad_bearer_token_makes_no_guest(browser: httpx.AsyncClient) -> None:
    refused = await browser.get("/auth/session", headers={"Authorization": "Bearer x"})

    assert (refused.status_code, refused.json()["reason"]) == (401, "TOKEN_INVALID")
    assert "set-cookie" not in refused.headers


async def test_a_guest_has_no_name(browser: httpx.AsyncClient) -> None:
    shown = await browser.get("/auth/session")

    assert (shown.status_code, shown.json()) == (200, {"username": None})
