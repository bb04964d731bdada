"""What the middleware adds to every response."""

import ipaddress
from typing import Any

import httpx
import pytest

from edge.http.middleware import EdgeMiddleware
from edge.http.request_context import current_request_context
from edge.metrics import REQUESTS

PROXIES = (ipaddress.ip_network("10.0.0.0/8"),)


async def shows_context(scope: Any, receive: Any, send: Any) -> None:
    context = current_request_context()
    body = f"{context.client_ip} {context.request_id}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


async def fails(scope: Any, receive: Any, send: Any) -> None:
    message = "a secret of the stack"
    raise RuntimeError(message)


def client_of(app: Any, address: str = "10.0.0.1", **options: Any) -> httpx.AsyncClient:
    envelope = EdgeMiddleware(app, position=lambda: "", trusted_proxies=PROXIES, **options)
    transport = httpx.ASGITransport(app=envelope, client=(address, 1))  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=transport, base_url="http://edge")


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("192.0.2.9", "", "192.0.2.9"),
        ("192.0.2.9", "203.0.113.1", "192.0.2.9"),
        ("10.0.0.1", "203.0.113.1", "203.0.113.1"),
        ("10.0.0.1", "198.51.100.7, 203.0.113.1, 10.0.0.2", "203.0.113.1"),
        ("10.0.0.1", "", "10.0.0.1"),
    ],
)
async def test_client_is_the_nearest_address_that_is_no_proxy_of_ours(peer: str, forwarded: str, expected: str) -> None:
    async with client_of(shows_context, peer) as client:
        response = await client.get("/", headers={"X-Forwarded-For": forwarded} if forwarded else {})

    assert response.text.split()[0] == expected


async def test_given_request_id_is_kept_and_a_strange_one_replaced() -> None:
    async with client_of(shows_context) as client:
        kept = await client.get("/", headers={"Partstream-Request-Id": "checkout-17"})
        replaced = await client.get("/", headers={"Partstream-Request-Id": "x" * 101})

    assert kept.headers["partstream-request-id"] == "checkout-17"
    assert len(replaced.headers["partstream-request-id"]) == 36


@pytest.mark.parametrize(
    ("peer", "given", "expected"),
    [
        ("10.0.0.1", "7f3c2a.proxy_1", "7f3c2a.proxy_1"),
        ("10.0.0.1", "x" * 100, "x" * 100),
        ("10.0.0.1", "x" * 101, "checkout-17"),
        ("10.0.0.1", "a b", "checkout-17"),
        ("10.0.0.1", 'a"b', "checkout-17"),
        ("10.0.0.1", "", "checkout-17"),
        ("192.0.2.9", "7f3c2a.proxy_1", "checkout-17"),
    ],
)
async def test_request_id_of_a_trusted_proxy_comes_before_that_of_the_caller(
    peer: str, given: str, expected: str
) -> None:
    async with client_of(shows_context, peer) as client:
        headers = {"X-Request-Id": given, "Partstream-Request-Id": "checkout-17"}
        response = await client.get("/", headers=headers)

    assert response.headers["partstream-request-id"] == expected
    assert response.text.split()[1] == expected


@pytest.mark.parametrize(("peer", "given"), [("192.0.2.9", "7f3c2a"), ("10.0.0.1", "a b"), ("10.0.0.1", "x" * 101)])
async def test_request_id_that_cannot_be_taken_over_is_replaced(peer: str, given: str) -> None:
    async with client_of(shows_context, peer) as client:
        response = await client.get("/", headers={"X-Request-Id": given})

    assert len(response.headers["partstream-request-id"]) == 36


async def test_faults_tell_nothing_about_themselves() -> None:
    async with client_of(fails) as client:
        response = await client.get("/")

    assert (response.status_code, response.json()["reason"]) == (500, "INTERNAL")
    assert "secret" not in response.text


async def test_requests_beyond_the_limit_are_refused_at_once() -> None:
    async with client_of(shows_context, max_concurrent=0) as client:
        refused = await client.get("/api/v1/parts")
        probe = await client.get("/health/live")

    assert (refused.status_code, refused.json()["reason"]) == (503, "OVERLOADED")
    assert refused.headers["retry-after"] == "1"
    assert probe.status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "level"),
    [
        ("GET", "/api/v1/parts", 200, "DEBUG"),
        ("HEAD", "/api/v1/parts", 304, "DEBUG"),
        ("PUT", "/api/v1/admin/parts/C1/stock", 200, "INFO"),
        ("GET", "/api/v1/parts/none", 404, "INFO"),
        ("GET", "/api/v1/parts", 503, "WARNING"),
        ("GET", "/health/ready", 503, "DEBUG"),
    ],
)
async def test_writes_and_refusals_are_worth_a_line_and_reads_that_went_well_are_not(
    method: str, path: str, status: int, level: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A line for each of thousands of reads a second would hide every other line and cost as much as the responses."""

    async def respond(scope: Any, receive: Any, send: Any) -> None:
        scope["path_template"] = scope["path"]
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    caplog.set_level("DEBUG", "edge.access")
    async with client_of(respond) as client:
        await client.request(method, path)

    assert [record.levelname for record in caplog.records if record.name == "edge.access"] == [level]


async def test_a_slow_read_is_worth_a_line(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.http.middleware.SLOW_SECONDS", 0.0)
    caplog.set_level("INFO", "edge.access")

    async with client_of(shows_context) as client:
        await client.get("/api/v1/parts")

    assert "GET /api/v1/parts 200" in caplog.text


async def test_methods_that_anyone_makes_up_share_one_series() -> None:
    async with client_of(shows_context) as client:
        for method in ("DANCE", "SING"):
            await client.request(method, "/parts")

    counted = {sample.labels["method"] for metric in REQUESTS.collect() for sample in metric.samples}

    assert "other" in counted
    assert counted.isdisjoint({"DANCE", "SING"})
