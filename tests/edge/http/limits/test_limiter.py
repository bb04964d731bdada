"""Rate limits as callers meet them."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY

from chassis.database import Database
from chassis.limits import Limits, limits
from chassis.rates import READS, RESERVATIONS, SIGN_IN, WRITES
from edge.app import Edge
from edge.http.limits.limiter import class_of
from edge.settings import EdgeSettings
from tests.edge.conftest import ADMIN, PASSWORD

POLICY = re.compile(r'"(reads|writes|reservations|sign_in)";q=[1-9][0-9]*;w=[1-9][0-9]*')
LEFT = re.compile(r'"(reads|writes|reservations|sign_in)";r=[0-9]+;t=[1-9][0-9]*')

Limited = Callable[..., httpx.AsyncClient]


@pytest.fixture
def given() -> Limits:
    """Windows of an hour, so that none ends during a test but at the end of an hour."""
    return limits("reads=5/h,reads.admin=50/h,writes=3/h,reservations=2/h,sign_in=4/h")


@pytest.fixture
async def limited(given: Limits, database: Database, trail: Database, settings: EdgeSettings) -> AsyncIterator[Limited]:
    """Clients of an edge with these limits, by address."""
    made = Edge(dataclasses.replace(settings, limits=given), database, trail)
    made.start()
    clients: list[httpx.AsyncClient] = []

    def client(address: str = "192.0.2.1", **options: Any) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=made.asgi, client=(address, 1))  # type: ignore[arg-type]
        clients.append(httpx.AsyncClient(transport=transport, base_url="http://edge/api/v1", **options))
        return clients[-1]

    yield client
    for opened in clients:
        await opened.aclose()
    await made.close()


async def sign_in(client: httpx.AsyncClient) -> dict[str, str]:
    grant = (await client.post("/auth/login", json={"username": ADMIN, "password": PASSWORD})).json()
    return {"Authorization": f"Bearer {grant['access_token']}"}


def counted(name: str, role: str, outcome: str) -> float:
    labels = {"class": name, "role": role, "outcome": outcome}
    return REGISTRY.get_sample_value("partstream_edge_rate_limit_requests_total", labels) or 0.0


async def test_beyond_its_limit_a_caller_gets_429_with_the_time_to_wait(
    limited: Limited, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "edge")
    client = limited()
    refused_before = counted("reads", "guest", "refused")

    responses = [await client.get("/auth/session") for _ in range(8)]

    assert [response.status_code for response in responses] == [200] * 5 + [429] * 3
    refused = responses[-1]
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["reason"] == "OVERLOADED"
    assert refused.json()["status"] == 429
    left = re.fullmatch(r'"reads";r=0;t=(\d+)', refused.headers["ratelimit"])
    assert left is not None
    assert refused.headers["retry-after"] == left[1]
    assert refused.headers["ratelimit-policy"] == '"reads";q=5;w=3600'
    assert [response.headers["ratelimit"].split(";")[1] for response in responses[:5]] == [
        "r=4",
        "r=3",
        "r=2",
        "r=1",
        "r=0",
    ]
    assert counted("reads", "guest", "refused") - refused_before == 3
    # A flood must not fill the log.
    lines = [record.message for record in caplog.records if record.name.startswith("edge.") and record.levelno > 10]
    assert lines == ["rate limit reached class=reads role=guest"]


async def test_classes_and_addresses_are_counted_apart(limited: Limited) -> None:
    client, other = limited(), limited("192.0.2.2")
    for _ in range(6):
        await client.get("/auth/session")

    assert (await client.get("/auth/session")).status_code == 429
    assert (await other.get("/auth/session")).status_code == 200
    assert (await client.post("/auth/logout", json={})).status_code == 204


async def test_a_network_of_ipv6_is_one_address(limited: Limited) -> None:
    for number in range(5):
        await limited(f"2001:db8::{number}").get("/auth/session")

    assert (await limited("2001:db8::ffff").get("/auth/session")).status_code == 429
    assert (await limited("2001:db8:0:1::1").get("/auth/session")).status_code == 200


async def test_a_signed_in_caller_has_a_limit_of_its_own_from_any_address(limited: Limited) -> None:
    token = await sign_in(limited())
    guest = limited("192.0.2.9")
    for _ in range(6):
        await guest.get("/auth/session")

    responses = [await limited(address, headers=token).get("/auth/session") for address in ("192.0.2.9", "192.0.2.8")]

    assert [response.status_code for response in responses] == [200, 200]
    assert {response.headers["ratelimit-policy"] for response in responses} == {'"reads";q=50;w=3600'}
    assert responses[1].headers["ratelimit"].startswith('"reads";r=48;')


async def test_a_browser_session_has_the_limit_of_its_user_once_it_is_known(limited: Limited) -> None:
    client = limited()
    await client.post("/auth/session", json={"username": ADMIN, "password": PASSWORD})
    await client.get("/auth/session")

    response = await client.get("/auth/session")

    assert response.headers["ratelimit-policy"] == '"reads";q=50;w=3600'


@pytest.mark.parametrize(
    "headers",
    [{"Authorization": "Bearer x"}, {"Authorization": "Bearer"}, {"Cookie": "partstream_session=x.y"}],
)
async def test_a_token_that_proves_nothing_counts_for_its_address(limited: Limited, headers: dict[str, str]) -> None:
    for _ in range(5):
        await limited(headers=headers).get("/parts")

    assert (await limited(headers=headers).get("/parts")).status_code == 429
    assert (await limited().get("/auth/session")).status_code == 429


async def test_sign_in_is_counted_by_address_also_with_a_token(limited: Limited) -> None:
    token = await sign_in(limited())
    wrong = {"username": "nobody", "password": "wrong"}
    responses = [await limited(headers=token).post("/auth/login", json=wrong) for _ in range(4)]

    assert [response.status_code for response in responses] == [401, 401, 401, 429]
    assert (await limited().post("/auth/session/", json=wrong)).status_code == 429


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/auth/session", 200),
        ("HEAD", "/auth/session", 200),
        ("OPTIONS", "/parts", 204),
        ("GET", "/nothing/here", 404),
        ("GET", "/admin/users", 401),
        ("PATCH", "/parts", 405),
        ("POST", "/auth/login", 400),
        ("POST", "/auth/refresh", 401),
        ("GET", "/parts", 503),
        ("POST", "/reservations", 503),
    ],
)
async def test_every_response_names_the_limit_and_what_is_left(
    limited: Limited, method: str, path: str, status: int
) -> None:
    """The services are not running, so what needs them is a 503."""
    bodies = {"/auth/refresh": {"refresh_token": "x"}, "/reservations": {"lines": [{"part_id": "A", "quantity": 1}]}}

    response = await limited().request(method, path, json=bodies.get(path))

    assert response.status_code == status
    assert POLICY.fullmatch(response.headers["ratelimit-policy"])
    assert LEFT.fullmatch(response.headers["ratelimit"])


async def test_health_is_not_limited(limited: Limited) -> None:
    responses = [await limited().get("http://edge/health/live") for _ in range(20)]

    assert {response.status_code for response in responses} == {200}
    assert "ratelimit" not in responses[0].headers


async def test_a_handshake_beyond_the_limit_is_refused(limited: Limited) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    client = limited()
    for _ in range(5):
        await client.get("/auth/session")
    scope = {
        "type": "websocket",
        "http_version": "1.1",
        "path": "/api/v1/live",
        "raw_path": b"/api/v1/live",
        "query_string": b"",
        "headers": [(b"host", b"edge")],
        "client": ("192.0.2.1", 1),
        "scheme": "ws",
    }
    app: Any = client._transport.app  # type: ignore[attr-defined]
    await app(scope, None, send)

    assert sent[0]["type"] == "websocket.http.response.start"
    assert sent[0]["status"] == 429
    assert {name for name, _ in sent[0]["headers"]} >= {b"ratelimit", b"ratelimit-policy", b"retry-after"}


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/api/v1/reservations", READS),
        ("OPTIONS", "/api/v1/auth/login", READS),
        ("POST", "/api/v1/auth/login", SIGN_IN),
        ("POST", "//api//v1/auth/login//", SIGN_IN),
        ("POST", "/api/v1/auth/session", SIGN_IN),
        ("DELETE", "/api/v1/auth/session", WRITES),
        ("POST", "/api/v1/auth/register", SIGN_IN),
        ("POST", "/api/v1/auth/refresh", WRITES),
        ("POST", "/api/v1/reservations/x/release", RESERVATIONS),
        ("PUT", "/api/v1/admin/parts/x", WRITES),
        ("BREW", "/", WRITES),
    ],
)
def test_class_of_a_request(method: str, path: str, expected: str) -> None:
    assert class_of(method, path) == expected
