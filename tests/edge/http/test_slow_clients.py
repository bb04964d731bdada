"""Slow and silent clients do not use up what other clients need."""

import asyncio
import contextlib
import ipaddress
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from edge.http.connections import ConnectionLimiter
from edge.http.errors import TooManyConnections
from edge.http.idle_connections import IdleConnections
from edge.http.middleware import EdgeMiddleware
from edge.http.open_sockets import accepted
from edge.metrics import REQUESTS
from tests.edge.http.raw_http import Connection, ask, connect, listening, until

CROWD = 1_005  # more than the concurrency limit of an edge
SLOW = b"POST /cart HTTP/1.1\r\nHost: edge\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
GET = b"GET /parts HTTP/1.1\r\nHost: edge\r\n\r\n"


class Echo:
    """Responds with the size of the body, and counts its requests."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.calls += 1
        body = (await receive())["body"] if scope["method"] == "POST" else b""
        text = str(len(body)).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(text))]})
        await send({"type": "http.response.body", "body": text})


@contextlib.asynccontextmanager
async def served(echo: Echo | None = None, **options: Any) -> AsyncIterator[int]:
    async with listening(EdgeMiddleware(echo or Echo(), position=lambda: "", **options)) as port:
        yield port


async def waiting(port: int, limiter: ConnectionLimiter, count: int, raw: bytes = SLOW) -> list[Connection]:
    """Open connections whose requests have begun, in that order."""
    opened: list[Connection] = []
    before = limiter.begun
    for done in range(count):
        opened.append(await connect(port, raw))
        if count == CROWD and done < count - 1:
            continue  # the order of a crowd is of no interest
        await until(lambda: limiter.begun == before + len(opened))
    return opened


async def test_a_thousand_unfinished_bodies_do_not_reach_the_concurrency_limit() -> None:
    limiter = ConnectionLimiter(per_address=2 * CROWD)
    async with served(connections=limiter, max_concurrent=1, body_seconds=600) as port:
        crowd = await waiting(port, limiter, CROWD)

        reply = await ask(port, GET)

        assert limiter.in_progress == CROWD
        for connection in crowd:
            connection.close()
    assert reply.status == 200


async def test_a_body_that_exceeds_its_timeout_is_408_and_the_connection_closes() -> None:
    echo = Echo()
    async with served(echo, body_seconds=0.2) as port:
        slow = await connect(port, SLOW)
        reply = await slow.reply()
        rest = await slow.closed()

    assert (reply.status, reply.problem["reason"], reply.headers["connection"]) == (408, "BODY_TIMEOUT", "close")
    assert rest == b""
    assert echo.calls == 0


async def test_the_timeout_of_a_body_grows_with_its_received_size() -> None:
    """A large body over a slow line is no attack."""
    size = 512 * 1024
    head = b"POST /cart HTTP/1.1\r\nHost: edge\r\nContent-Length: %d\r\n\r\n" % size
    async with served(body_seconds=0.3) as port:
        client = await connect(port, head + b"x" * (size // 2))
        slow = await connect(port, SLOW)
        assert (await slow.reply()).status == 408  # it began later
        client.send(b"x" * (size // 2))
        reply = await client.reply()

    assert (reply.status, reply.body) == (200, str(size).encode())


async def test_at_the_limit_of_an_address_the_longest_waiting_request_is_closed() -> None:
    limiter = ConnectionLimiter(per_address=3)
    async with served(connections=limiter, body_seconds=600) as port:
        first, second, third = await waiting(port, limiter, 3)

        reply = await ask(port, GET)
        replaced = await first.reply()
        await first.closed()
        second.send(b"}" + b" " * 98)
        kept = await second.reply()

        third.close()
    assert reply.status == 200
    assert (replaced.status, replaced.headers["connection"]) == (408, "close")
    assert "waited longest" in replaced.problem["detail"]
    assert (kept.status, kept.body) == (200, b"100")


async def test_addresses_behind_a_trusted_proxy_are_counted_separately() -> None:
    limiter = ConnectionLimiter(per_address=1)
    loopback = (ipaddress.ip_network("127.0.0.0/8"),)

    def of(address: str) -> bytes:
        return SLOW.replace(b"\r\n\r\n", f"\r\nX-Forwarded-For: {address}\r\n\r\n".encode())

    async with served(connections=limiter, trusted_proxies=loopback, body_seconds=600) as port:
        (other,) = await waiting(port, limiter, 1, of("203.0.113.1"))
        (first,) = await waiting(port, limiter, 1, of("203.0.113.2"))
        (second,) = await waiting(port, limiter, 1, of("203.0.113.2"))

        assert (await first.reply()).status == 408
        other.send(b" " * 99)
        assert (await other.reply()).status == 200
        second.close()


def test_addresses_of_one_ipv6_network_count_as_one() -> None:
    limiter = ConnectionLimiter(per_address=2)

    with (
        limiter.admit("2001:db8:1:2::1"),
        limiter.admit("2001:db8:1:2:ffff::9"),
        limiter.admit("2001:db8:1:3::1"),
        pytest.raises(TooManyConnections),
        limiter.admit("2001:db8:1:2::77"),
    ):
        pytest.fail("the network has two already")
    assert limiter.in_progress == 0


async def test_requests_beyond_the_limit_of_an_address_are_429() -> None:
    began, finish = asyncio.Event(), asyncio.Event()

    async def busy(scope: Any, receive: Any, send: Any) -> None:
        began.set()
        await finish.wait()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    limiter = ConnectionLimiter(per_address=1)
    async with served(busy, connections=limiter) as port:  # type: ignore[arg-type]
        first = await connect(port, GET)
        await began.wait()
        second = await ask(port, GET)
        finish.set()

        assert (await first.reply()).status == 204
    assert (second.status, second.problem["reason"], second.headers["retry-after"]) == (429, "OVERLOADED", "1")


async def test_incomplete_bodies_share_a_bounded_memory() -> None:
    limiter = ConnectionLimiter(buffered_bytes=128 * 1024)
    head = b"POST /cart HTTP/1.1\r\nHost: edge\r\nContent-Length: 100000\r\n\r\n"
    async with served(connections=limiter, body_seconds=600) as port:
        (first, second) = await waiting(port, limiter, 2, head)
        first.send(b"x" * 70_000)
        second.send(b"x" * 70_000)

        assert (await first.reply()).status == 408
        second.send(b"x" * 30_000)
        assert (await second.reply()).status == 200


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (SLOW, "499"),
        (b"POST /cart HTTP/1.1\r\nHost: edge\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "400"),
    ],
)
async def test_a_client_that_disconnects_during_its_body_is_no_fault(
    raw: bytes, status: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Each of them must not be a traceback and a 500 in the metrics."""
    caplog.set_level("DEBUG", "edge")
    counted = REQUESTS.labels("POST", "unmatched", status)
    before = counted._value.get()
    limiter = ConnectionLimiter()
    async with served(connections=limiter) as port:
        (client,) = await waiting(port, limiter, 1, raw)
        client.close()
        await until(lambda: counted._value.get() > before)

    lines = [record for record in caplog.records if record.name.startswith("edge")]
    assert [record.levelname for record in lines] == ["DEBUG" if status == "499" else "INFO"]
    assert lines[0].getMessage() == f"POST /cart {status}"
    assert limiter.in_progress == 0


async def test_a_head_that_exceeds_its_timeout_closes_the_connection() -> None:
    async with listening(EdgeMiddleware(Echo(), position=lambda: ""), head_seconds=0.3) as port:
        silent = await connect(port)
        partial = await connect(port, b"GET /parts HTTP/1.1\r\nHo")
        idle = await connect(port, GET)
        served_first = await idle.reply()

        assert await silent.closed() == b""
        assert await partial.closed() == b""
        assert await idle.closed() == b""
    assert served_first.status == 200


async def test_a_body_that_is_too_large_is_413_while_the_client_still_sends() -> None:
    """A connection closed with unread bytes is reset, and the client never receives the response."""
    size = 8 * 1024 * 1024
    async with served() as port:
        for head in (b"Content-Length: %d\r\n\r\n" % size, b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % size):
            client = await connect(port, b"POST /cart HTTP/1.1\r\nHost: edge\r\n" + head)
            client.send(b"x" * size)
            await client.writer.drain()
            reply = await client.reply()
            client.close()
            assert (reply.status, reply.problem["reason"]) == (413, "BODY_TOO_LARGE")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports how long a connection has been quiet")
async def test_idle_connections_beyond_the_limit_of_an_address_are_closed_longest_idle_first() -> None:
    limiter = ConnectionLimiter(per_address=3)
    async with served(connections=limiter, body_seconds=600) as port:
        sweeper = IdleConnections(limiter, port, per_address=3, total=1_000)
        busy = (await waiting(port, limiter, 1))[0]
        quiet = [await connect(port, GET) for _ in range(5)]
        for connection in quiet:
            await connection.reply()
        await until(lambda: all(item.quiet_ms > 100 for item in accepted(port)))
        for connection in quiet[2:]:
            connection.send(GET)
            await connection.reply()

        await sweeper.run_once()

        for connection in quiet[:2]:
            assert await connection.closed() == b""
        for connection in quiet[2:]:
            connection.send(GET)
            assert (await connection.reply()).status == 200
        busy.send(b" " * 99)
        assert (await busy.reply()).status == 200


async def test_idle_connections_beyond_the_total_limit_are_closed() -> None:
    limiter = ConnectionLimiter()
    async with served(connections=limiter) as port:
        idle = [await connect(port) for _ in range(6)]
        fresh = await connect(port, GET)
        await fresh.reply()
        sweeper = IdleConnections(limiter, port, per_address=1_000, total=5, is_proxy=lambda _: True)

        await sweeper.run_once()

        closed = [asyncio.create_task(connection.closed()) for connection in idle]
        done, _ = await asyncio.wait(closed, timeout=60, return_when=asyncio.FIRST_COMPLETED)
        assert done
        await until(lambda: sum(task.done() for task in closed) >= 2)
        for task in closed:
            task.cancel()


async def test_below_the_limits_no_connections_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.http.idle_connections.accepted", None)
    sweeper = IdleConnections(ConnectionLimiter(), 1, per_address=100_000, total=100_000)

    await sweeper.run_once()
