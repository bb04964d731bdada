"""HTTP rules of every route: methods, media types, addresses."""

import httpx
import pytest

from edge.app import Edge
from tests.edge.conftest import ADMIN, PASSWORD
from tests.edge.routes.shop import PART, open_shop

ADJUST = "/admin/parts/LED-5MM-RED/stock/adjust"


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/parts", "GET, HEAD, OPTIONS"),
        ("/parts/LED-5MM-RED", "GET, HEAD, OPTIONS"),
        ("/admin/parts/LED-5MM-RED", "GET, HEAD, OPTIONS, PUT"),
        ("/admin/parts", "GET, HEAD, OPTIONS, POST"),
        (ADJUST, "OPTIONS, POST"),
    ],
)
async def test_a_wrong_method_is_405_with_the_allowed_methods(
    client: httpx.AsyncClient, path: str, allowed: str
) -> None:
    rejected = await client.request("TRACE", path)
    options = await client.options(path)

    assert (rejected.status_code, rejected.json()["reason"]) == (405, "METHOD_NOT_ALLOWED")
    assert rejected.headers["allow"] == allowed
    assert (options.status_code, options.headers["allow"]) == (204, allowed)


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
async def test_only_plain_json_is_accepted(admin: httpx.AsyncClient, headers: dict[str, str]) -> None:
    response = await admin.post(ADJUST, content=b'{"delta": 1, "reason": "found"}', headers=headers)

    assert (response.status_code, response.json()["reason"]) == (415, "MEDIA_TYPE_UNSUPPORTED")


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "application/merge-patch+json"])
async def test_several_json_media_types_are_accepted(admin: httpx.AsyncClient, media_type: str) -> None:
    headers = {"Content-Type": media_type}

    response = await admin.post(ADJUST, content=b'{"delta": 1, "reason": "found"}', headers=headers)

    assert response.json()["reason"] == "PART_NOT_FOUND"


async def test_the_revision_cookie_is_secure_over_https(admin: httpx.AsyncClient, edge: Edge) -> None:
    await open_shop(admin)
    transport = httpx.ASGITransport(app=edge.asgi)  # type: ignore[arg-type]
    for scheme, secure in (("https", True), ("http", False)):
        async with httpx.AsyncClient(transport=transport, base_url=f"{scheme}://shop.example/api/v1") as browser:
            await browser.post("/auth/session", json={"username": ADMIN, "password": PASSWORD})
            shown = await browser.get("/parts/LED-5MM-RED")

        (cookie,) = shown.headers.get_list("set-cookie")
        assert cookie.startswith("partstream_revision=")
        assert ("; Secure" in cookie) is secure


async def test_a_missing_body_is_reported_as_missing(admin: httpx.AsyncClient) -> None:
    response = await admin.post(ADJUST)

    assert (response.status_code, response.json()["detail"]) == (400, "A JSON body is required.")


@pytest.mark.parametrize(
    ("reason", "status"),
    [(rb"a \u0000 b", 422), (rb"a \\\u0000 b", 422), (rb"a \\u0000 b", 404), (rb"a \\\\u0000 b", 404)],
)
async def test_only_an_escaped_nul_is_rejected_as_nul(admin: httpx.AsyncClient, reason: bytes, status: int) -> None:
    r"""``\\u0000`` in JSON is a backslash and five characters, which is a valid text."""
    raw = b'{"delta": 1, "reason": "' + reason + b'"}'

    response = await admin.post(ADJUST, content=raw, headers={"Content-Type": "application/json"})

    assert response.status_code == status


async def test_addresses_have_no_control_characters(client: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    """``$`` in a pattern matches before a line feed at the end, so a pattern alone does not reject it."""
    await open_shop(admin)

    response = await client.get("/parts/LED-5MM-RED%0A")

    assert (response.status_code, response.json()["detail"]) == (422, "An address must not contain control characters.")


async def test_a_created_part_is_found_at_its_location_header(
    client: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    await open_shop(admin)

    draft = await admin.post("/admin/parts", json={**PART, "part_id": "DRAFT", "status": "draft"})
    shown = await admin.post("/admin/parts", json={**PART, "part_id": "SHOWN"})

    assert (await admin.get(f"http://edge{draft.headers['location']}")).json()["version"] == 1
    assert (await client.get(f"http://edge{shown.headers['location']}")).json()["part_id"] == "SHOWN"


@pytest.mark.parametrize("part_id", [".", ".."])
async def test_ids_that_no_address_can_contain_are_rejected(admin: httpx.AsyncClient, part_id: str) -> None:
    await open_shop(admin)

    response = await admin.post("/admin/parts", json={**PART, "part_id": part_id})

    assert (response.status_code, response.json()["errors"][0]["field"]) == (422, "part_id")


async def test_numbers_are_stored_exactly_or_rejected(admin: httpx.AsyncClient) -> None:
    await open_shop(admin)
    body = {**PART, "part_id": "EXACT", "specifications": {"count": 2**53}}

    kept = await admin.post("/admin/parts", json=body)
    lost = await admin.post("/admin/parts", json={**body, "specifications": {"count": 2**53 + 1}})

    assert kept.json()["specifications"] == {"count": 2**53}
    assert (lost.status_code, lost.json()["errors"][0]["field"]) == (422, "specifications.count")


@pytest.mark.parametrize("since", ["0.5", "yesterday", "2026-13-01T00:00:00Z", "17"])
async def test_only_rfc_3339_timestamps_are_accepted(admin: httpx.AsyncClient, since: str) -> None:
    for path in ("/admin/audit", "/admin/events", "/admin/parts/LED-5MM-RED/stock/movements"):
        response = await admin.get(path, params={"since": since})
        assert (response.status_code, response.json()["errors"][0]["field"]) == (400, "since")
