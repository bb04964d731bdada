"""Every response protects the browser that gets it, from any source: a route, an error, a 304, a preflight."""

import ipaddress
import uuid
from typing import Any

import httpx
import pytest

from edge.app import Edge
from edge.http.middleware import EdgeMiddleware
from edge.http.origins import EXPOSED, REQUEST_HEADERS, Origins, origins
from edge.http.security_headers import DATA_POLICY
from edge.openapi.operations import PARAMETERS
from tests.edge.conftest import ADMIN, PASSWORD

EXPECTED = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
CREDENTIALS = {"username": ADMIN, "password": PASSWORD}
SHOP = "https://shop.example"


def client_of(app: Any, base_url: str = "http://edge", address: str = "10.0.0.1", **options: Any) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app, client=(address, 1), **options)
    return httpx.AsyncClient(transport=transport, base_url=base_url)


def shared(response: httpx.Response) -> dict[str, str | None]:
    return {name: response.headers.get(name) for name in EXPECTED}


async def test_every_response_has_the_headers(client: httpx.AsyncClient, admin: httpx.AsyncClient) -> None:
    first = await client.get("http://edge/schema/assets/start.js")
    responses = {
        200: await client.get("/auth/session"),
        204: await admin.post("/auth/logout"),
        304: await client.get("http://edge/schema/assets/start.js", headers={"If-None-Match": first.headers["etag"]}),
        400: await client.post("/auth/login", json={}),
        401: await client.get("/admin/users"),
        404: await client.get("/nowhere"),
        405: await client.delete("/parts"),
        415: await client.post("/auth/login", content=b"{}"),
        422: await client.get("/parts/%0A"),
        503: await client.get("/parts/LED"),
    }

    assert {code: response.status_code for code, response in responses.items()} == {code: code for code in responses}
    page = responses.pop(304)
    assert [shared(response) for response in responses.values()] == [EXPECTED] * len(responses)
    assert "script-src 'self';" in page.headers["content-security-policy"]
    assert all("geolocation=()" in response.headers["permissions-policy"] for response in responses.values())
    assert not [response for response in responses.values() if "strict-transport-security" in response.headers]


async def test_responses_of_the_layers_around_the_routes_have_them() -> None:
    async def fails(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError

    async with client_of(EdgeMiddleware(fails, position=lambda: "")) as client:
        fault = await client.get("/")
    async with client_of(EdgeMiddleware(fails, position=lambda: "", max_concurrent=0)) as client:
        shed = await client.get("/")

    assert (fault.status_code, shed.status_code) == (500, 503)
    assert (shared(fault), shared(shed)) == (EXPECTED, EXPECTED)


@pytest.mark.parametrize("path", ["/schema", "/schema/", "/schema/reference", "/schema/openapi.json"])
async def test_the_reference_may_load_its_own_files_only(client: httpx.AsyncClient, path: str) -> None:
    policy = (await client.get(f"http://edge{path}")).headers["content-security-policy"]

    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "frame-ancestors 'none'" in policy


async def test_an_address_that_only_begins_like_the_reference_is_data(client: httpx.AsyncClient) -> None:
    assert (await client.get("http://edge/schematics")).headers["content-security-policy"] == DATA_POLICY


async def test_responses_of_authentication_are_stored_nowhere(client: httpx.AsyncClient, edge: Edge) -> None:
    grant = (await client.post("/auth/login", json=CREDENTIALS)).json()
    session = await client.post("/auth/session", json=CREDENTIALS)
    csrf = {"X-CSRF-Token": session.json()["csrf_token"]}
    responses = [
        session,
        await client.get("/auth/session"),
        await client.delete("/auth/session", headers=csrf),
        await client.post("/auth/refresh", json={"refresh_token": grant["refresh_token"]}),
        await client.post("/auth/refresh", json={"refresh_token": grant["refresh_token"]}),
        await client.post("/auth/logout", json={}),
        await client.post("/auth/login", json={**CREDENTIALS, "password": "a guess"}),
        await client.post("/auth/register", json={}),
        await client.get("/admin/users"),
    ]

    assert [response.status_code for response in responses] == [201, 200, 204, 200, 401, 204, 401, 400, 401]
    assert all("no-store" in response.headers["cache-control"] for response in responses)


def behind_proxies(edge: Edge) -> Any:
    edge.asgi._trusted = (ipaddress.ip_network("10.0.0.0/8"),)
    return edge.asgi


@pytest.mark.parametrize(
    ("address", "forwarded", "secure"),
    [
        ("10.0.0.1", "https", True),
        ("10.0.0.1", "HTTPS, http", True),
        ("10.0.0.1", "http", False),
        ("10.0.0.1", "gopher", False),
        ("10.0.0.1", "", False),
        ("192.0.2.9", "https", False),
    ],
)
async def test_a_trusted_proxy_says_that_the_browser_came_by_https(
    edge: Edge, address: str, forwarded: str, *, secure: bool
) -> None:
    """By the address ``127.0.0.1`` behind a proxy the cookie went out without ``Secure``."""
    headers = {"X-Forwarded-Proto": forwarded}
    async with client_of(behind_proxies(edge), "http://127.0.0.1:8000", address) as client:
        opened = await client.post("/api/v1/auth/session", json=CREDENTIALS, headers=headers)

    cookie = opened.headers["set-cookie"]
    assert cookie.startswith("__Host-partstream_session=" if secure else "partstream_session=")
    assert ("; Secure" in cookie) is secure
    assert ("Path=/;" in cookie) is secure
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert ("strict-transport-security" in opened.headers) is secure


async def test_over_https_only_the_host_bound_cookie_counts(edge: Edge) -> None:
    """A page of plain http, or of another subdomain, can plant a cookie without the prefix."""
    async with client_of(edge.asgi, "https://shop.example/api/v1") as client:
        opened = await client.post("/auth/session", json=CREDENTIALS)
        value = opened.cookies["__Host-partstream_session"]
        client.cookies.clear()
        bound = await client.get("/auth/session", headers={"Cookie": f"__Host-partstream_session={value}"})
        planted = await client.get("/auth/session", headers={"Cookie": f"partstream_session={value}"})

    assert bound.json()["username"] == ADMIN
    assert planted.json() == {"username": None}


@pytest.mark.parametrize(
    ("headers", "path", "status", "challenge"),
    [
        ({}, "/admin/users", 401, 'Bearer realm="partstream"'),
        ({"Authorization": "Bearer x"}, "/admin/users", 401, 'Bearer realm="partstream", error="invalid_token", '),
        ({"Authorization": "Basic eDp5"}, "/admin/users", 401, 'Bearer realm="partstream", error="invalid_token", '),
        ({"Authorization": "Bearer x"}, "/auth/session", 401, 'Bearer realm="partstream", error="invalid_token", '),
    ],
)
async def test_a_refusal_says_what_is_wrong_with_the_token(
    client: httpx.AsyncClient, headers: dict[str, str], path: str, status: int, challenge: str
) -> None:
    refused = await client.get(path, headers=headers)

    assert refused.status_code == status
    assert refused.headers["www-authenticate"].startswith(challenge)
    assert refused.headers["www-authenticate"].endswith('"')


async def test_a_missing_permission_is_an_insufficient_scope(
    client: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    clerk = {"username": "clerk", "password": "a long password"}
    await admin.post("/admin/users", json=clerk)
    grant = (await client.post("/auth/login", json=clerk)).json()

    refused = await client.get("/admin/users", headers={"Authorization": f"Bearer {grant['access_token']}"})

    assert refused.status_code == 403
    assert refused.headers["www-authenticate"] == (
        'Bearer realm="partstream", error="insufficient_scope", scope="users:read"'
    )


async def test_a_wrong_password_is_no_error_of_a_token(client: httpx.AsyncClient) -> None:
    refused = await client.post("/auth/login", json={**CREDENTIALS, "password": "a guess"})

    assert refused.headers["www-authenticate"] == 'Bearer realm="partstream"'


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded", "nonsense"])
async def test_every_write_with_a_body_needs_its_type(
    edge: Edge, admin: httpx.AsyncClient, content_type: str | None
) -> None:
    """A form, or a script of any page, sends a body of no type unasked."""
    document = (await admin.get("http://edge/schema/openapi.json")).json()
    headers = {} if content_type is None else {"Content-Type": content_type}
    writes = [
        (method, path.format_map(examples(operation)), operation["responses"])
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method not in {"get", "head"}
    ]

    assert len(writes) > 20
    for method, path, documented in writes:
        for body in ({"content": b"{}"}, {"content": chunks()}):
            refused = await admin.request(method, f"http://edge{path}", headers=headers, **body)
            assert (method, path, refused.status_code) == (method, path, 415)
        assert "415" in documented, (method, path)


def examples(operation: dict[str, Any]) -> dict[str, str]:
    """A value for every parameter of the path."""
    in_path = [each for each in operation.get("parameters", ()) if each["in"] == "path"]
    return {each["name"]: "1" if each["schema"]["type"] == "integer" else str(uuid.UUID(int=1)) for each in in_path}


async def chunks() -> Any:
    yield b"{"
    yield b"}"


async def test_no_body_needs_no_type(admin: httpx.AsyncClient) -> None:
    assert (await admin.post("/auth/logout", content=b"")).status_code == 204


def with_origins(edge: Edge) -> Any:
    edge.asgi._origins = Origins(origins(f"{SHOP}, http://localhost:5173"))
    return edge.asgi


@pytest.mark.parametrize("path", ["/auth/session", "/admin/users", "/parts/LED", "/nowhere"])
async def test_a_page_of_a_listed_origin_reads_every_response(edge: Edge, path: str) -> None:
    async with client_of(with_origins(edge), "http://edge/api/v1") as client:
        read = await client.get(path, headers={"Origin": SHOP})

    assert read.headers["access-control-allow-origin"] == SHOP
    assert read.headers["access-control-allow-credentials"] == "true"
    assert "Origin" in read.headers["vary"]
    exposed = read.headers["access-control-expose-headers"].split(", ")
    assert {"ETag", "Partstream-Revision", "Partstream-Owner-Key", "Retry-After"} <= set(exposed)


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "https://shop.example.evil.example", "http://shop.example", "null", "", "*"]
)
async def test_other_origins_get_no_cors_header(edge: Edge, origin: str) -> None:
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    async with client_of(with_origins(edge), "http://edge/api/v1") as client:
        responses = [await client.get("/parts", headers=asked), await client.options("/parts", headers=asked)]

    for response in responses:
        assert not [name for name in response.headers if name.startswith("access-control-")]
        assert "Origin" in response.headers["vary"]


async def test_without_a_list_there_is_no_cors_at_all(client: httpx.AsyncClient) -> None:
    response = await client.get("/auth/session", headers={"Origin": SHOP})

    assert not [name for name in response.headers if name.startswith("access-control-")]
    assert "Origin" not in response.headers["vary"]


async def test_a_preflight_allows_what_the_api_takes(edge: Edge) -> None:
    asked = {"Origin": SHOP, "Access-Control-Request-Method": "PUT"}
    async with client_of(with_origins(edge), "http://edge/api/v1") as client:
        allowed = await client.options("/admin/parts/LED", headers=asked)

    assert (allowed.status_code, allowed.content) == (204, b"")
    assert allowed.headers["access-control-allow-origin"] == SHOP
    assert "PUT" in allowed.headers["access-control-allow-methods"].split(", ")
    assert allowed.headers["access-control-max-age"] == "600"
    assert shared(allowed) == EXPECTED
    names = set(allowed.headers["access-control-allow-headers"].split(", "))
    assert set(PARAMETERS) | {"Authorization", "Content-Type", "Partstream-Owner-Key"} <= names


def test_headers_are_listed_by_their_names() -> None:
    for listed in (REQUEST_HEADERS, EXPOSED):
        assert "*" not in listed  # a wildcard does not count with credentials


@pytest.mark.parametrize(
    ("raw", "parsed"),
    [
        ("", ()),
        ("https://shop.example", ("https://shop.example",)),
        ("https://Shop.example:443/, http://localhost:5173", ("https://shop.example", "http://localhost:5173")),
    ],
)
def test_origins_are_kept_as_browsers_write_them(raw: str, parsed: tuple[str, ...]) -> None:
    assert origins(raw) == parsed


@pytest.mark.parametrize(
    "raw", ["*", "null", "shop.example", "https://*.shop.example", "https://shop.example/a", "https://u@shop.example"]
)
def test_what_is_no_origin_is_rejected(raw: str) -> None:
    with pytest.raises(ValueError, match="origin"):
        origins(raw)
