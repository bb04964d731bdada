"""Malformed HTTP or JSON is 400, 414 or 431: never a 5xx, and never routed."""

import json
from collections.abc import AsyncIterator

import pytest

from edge.app import Edge
from edge.metrics import REQUESTS
from tests.edge.http.raw_http import ask, connect, listening

HOST = b"Host: edge\r\n"
JSON = b"Content-Type: application/json\r\n"
LOGIN = b"POST /api/v1/auth/login HTTP/1.1\r\n" + HOST


def get(target: bytes, headers: bytes = HOST) -> bytes:
    return b"GET " + target + b" HTTP/1.1\r\n" + headers + b"\r\n"


def login(body: bytes, headers: bytes = JSON) -> bytes:
    return LOGIN + headers + b"Content-Length: %d\r\n\r\n" % len(body) + body


@pytest.fixture
async def port(edge: Edge) -> AsyncIterator[int]:
    """Return the port of the edge."""
    async with listening(edge.asgi) as number:
        yield number


# Rejected by the listener, with an empty body, or by us, with a problem.
MALFORMED = {
    "no Host": get(b"/api/v1/parts", b""),
    "an empty Host": get(b"/api/v1/parts", b"Host: \r\n"),
    "two Hosts": get(b"/api/v1/parts", HOST + b"Host: other\r\n"),
    "the same Host twice": get(b"/api/v1/parts", HOST + HOST),
    "a Host that is none": get(b"/api/v1/parts", b"Host: edge/x?y\r\n"),
    "a Host with a user": get(b"/api/v1/parts", b"Host: a@edge\r\n"),
    "an encoded slash": get(b"/api/v1/parts/a%2fstock"),
    "an encoded slash in upper case": get(b"/api/v1/parts/a%2Fstock"),
    "an empty segment": get(b"/api/v1//parts"),
    "an empty first segment": get(b"//api/v1/parts"),
    "an empty last segment": get(b"/api/v1/parts//"),
    "a dot segment": get(b"/api/v1/parts/../categories"),
    "an encoded dot segment": get(b"/api/v1/parts/%2e%2E/categories"),
    "a dot segment of the probe": get(b"/health/../health/live"),
    "a percent sign alone": get(b"/api/v1/parts/100%"),
    "an escape that is none": get(b"/api/v1/parts/%zz"),
    "a path that is not UTF-8": get(b"/api/v1/parts/%ff%fe"),
    "an overlong slash": get(b"/api/v1/parts/%c0%af"),
    "a surrogate in the path": get(b"/api/v1/parts/%ed%a0%80"),
    "a query that is not UTF-8": get(b"/api/v1/parts?q=%ff"),
    "an escape in the query that is none": get(b"/api/v1/parts?q=%zz"),
    "raw bytes in the path": get(b"/api/v1/parts/\xff"),
    "raw bytes in the query": get(b"/api/v1/parts?q=\xff"),
    "a NUL in a field": get(b"/api/v1/parts", HOST + b"X: a\0b\r\n"),
    "a folded field": get(b"/api/v1/parts", HOST + b"X: a\r\n b\r\n"),
    "a space before the colon": get(b"/api/v1/parts", b"Host : edge\r\n"),
    "no version": b"GET /api/v1/parts\r\n\r\n",
    "another version": b"GET /api/v1/parts HTTP/3.0\r\n" + HOST + b"\r\n",
    "no slash": b"GET parts HTTP/1.1\r\n" + HOST + b"\r\n",
    "an asterisk": b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
    "two tokens": get(b"/api/v1/parts", HOST + b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n"),
    "a truncated chunk": LOGIN + JSON + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
    "a chunk without its size": LOGIN + JSON + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "a chunk longer than its size": LOGIN + JSON + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{}}\r\n0\r\n\r\n",
    "a chunk without its end": LOGIN + JSON + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}",
    "a size beyond all bounds": LOGIN + JSON + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}",
    "a coding that we do not have": LOGIN + JSON + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "a coding that has no end": LOGIN + JSON + b"Transfer-Encoding: gzip\r\n\r\n{}",
    "two codings": LOGIN + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "two lengths": LOGIN + JSON + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
    "a list of lengths": LOGIN + JSON + b"Content-Length: 2, 2\r\n\r\n{}",
    "a length with a sign": LOGIN + JSON + b"Content-Length: +2\r\n\r\n{}",
    "a negative length": LOGIN + JSON + b"Content-Length: -2\r\n\r\n{}",
    "a length beyond all bounds": LOGIN + JSON + b"Content-Length: 99999999999999999999999\r\n\r\n{}",
    "a body that ends early": LOGIN + JSON + b"Content-Length: 20\r\n\r\n{",
    "two content types": login(b"{}", JSON + b"Content-Type: text/plain\r\n"),
    "no JSON": login(b"{'a': 1}"),
    "JSON that is not UTF-8": login(b'{"username": "\xff"}'),
    "UTF-16": login('{"username": "a"}'.encode("utf-16")),
    "a byte order mark": login(b"\xef\xbb\xbf{}"),
    "deep JSON": login(b"[" * 200_000),
    "deep objects": login(b'{"a":' * 100_000),
    "a number beyond all bounds": login(b'{"username": 1' + b"0" * 5_000 + b', "password": "p"}'),
    "an exponent beyond all bounds": login(b'{"username": 1e999, "password": "p"}'),
    "a number that JSON does not have": login(b'{"username": NaN, "password": "p"}'),
    "half a surrogate pair": login(b'{"username": "\\ud800", "password": "p"}'),
    "a name twice": login(b'{"username": "a", "username": "b", "password": "p"}'),
    "a name twice, once escaped": login(b'{"username": "a", "\\u0075sername": "b", "password": "p"}'),
}


# The client has to end its side for the server to know; everywhere else a client that does so has gone.
UNFINISHED = tuple(
    raw
    for name, raw in MALFORMED.items()
    if name in {"a truncated chunk", "a chunk without its end", "a body that ends early"}
)


@pytest.mark.parametrize("raw", MALFORMED.values(), ids=MALFORMED)
async def test_a_malformed_request_is_400_and_never_routed(
    port: int, raw: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    client = await connect(port, raw)
    if raw.startswith(UNFINISHED):
        client.end()

    reply = await client.reply()

    assert reply.status == 400
    if reply.body:
        assert reply.problem["status"] == 400
    assert [record.levelname for record in caplog.records if record.levelno > 30] == []


async def test_a_truncated_chunk_is_400_for_a_client_that_closed_only_its_sending_side(port: int) -> None:
    client = await connect(port, LOGIN + JSON + b"Content-Length: 200\r\n\r\n{")
    client.end()

    assert (await client.reply()).problem["reason"] == "FIELD_INVALID"


@pytest.mark.parametrize(
    ("raw", "status", "reason"),
    [
        (get(b"/api/v1/parts?q=" + b"a" * 9_000), 414, "URI_TOO_LONG"),
        (get(b"/" + b"a" * 60_000), 414, "URI_TOO_LONG"),
        (get(b"/" + b"a" * 100_000), 414, ""),
        (get(b"/" + b"a" * 400_000), 431, ""),
        (get(b"/api/v1/parts", HOST + b"X: " + b"a" * 40_000 + b"\r\n"), 431, "HEADERS_TOO_LARGE"),
        (get(b"/api/v1/parts", HOST + b"X: " + b"a" * 400_000 + b"\r\n"), 431, ""),
        (get(b"/api/v1/parts", HOST + b"X: a\r\n" * 500), 431, ""),
        (get(b"/api/v1/parts", HOST + b"Cookie: a=" + b"b" * 100_000 + b"\r\n"), 431, "HEADERS_TOO_LARGE"),
    ],
)
async def test_a_head_that_is_too_large(port: int, raw: bytes, status: int, reason: str) -> None:
    reply = await ask(port, raw)

    assert reply.status == status
    if reason:
        assert reply.problem["reason"] == reason


@pytest.mark.parametrize(
    ("headers", "status"),
    [(b"", 415), (b"Content-Type: \r\n", 415), (b"Content-Type: text/plain\r\n", 415), (b"Content-Type: x\r\n", 415)],
)
async def test_a_body_of_another_media_type_is_415(port: int, headers: bytes, status: int) -> None:
    reply = await ask(port, login(b"{}", headers))

    assert reply.problem["status"] == status


async def test_unusual_but_valid_requests_are_served(port: int) -> None:
    absolute = await ask(port, get(b"http://edge/health/live"))
    port_named = await ask(port, get(b"/health/live", b"Host: [::1]:8000\r\n"))
    old = await ask(port, b"GET /health/live HTTP/1.0\r\n\r\n")
    chunked = await ask(port, LOGIN + JSON + b"Transfer-Encoding: Chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")

    assert [absolute.status, port_named.status, old.status] == [200, 200, 200]
    assert [item["message"] for item in chunked.problem["errors"]] == ["Object missing required field `username`"]


async def test_a_content_length_with_chunks_is_ignored_and_the_connection_closes(port: int) -> None:
    """RFC 9112, 6.3: the listener removes the length, so that the edge does not receive it."""
    client = await connect(
        port,
        LOGIN + JSON + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\nGET / HTTP/1.1",
    )

    assert (await client.reply()).status == 400
    assert await client.closed() == b""


async def test_a_handshake_is_checked_like_a_request(port: int) -> None:
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: YQ==\r\n"
    for target, headers in (
        (b"/api/v1//live", HOST),
        (b"/api/v1/live?page=1", HOST),
        (b"/api/v1/live", HOST + HOST),
        (b"/api/v1/live%2f", HOST),
    ):
        reply = await ask(port, get(target, headers + upgrade))
        assert (reply.status, reply.problem["reason"]) == (400, "FIELD_INVALID")


async def test_a_malformed_request_is_counted_without_a_path(port: int) -> None:
    counted = REQUESTS.labels("GET", "unmatched", "400")
    before = counted._value.get()

    problem = (await ask(port, get(b"/api/v1//parts"))).problem

    assert counted._value.get() == before + 1
    assert problem["detail"] == "The path must not have empty segments."
    assert json.dumps(problem["errors"]) == json.dumps([{"field": "", "message": problem["detail"]}])
