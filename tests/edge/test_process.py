"""An edge as a process: reports missing settings, serves over real sockets, and stops gracefully."""

import asyncio
import os
import signal
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from chassis.database import Database
from stack.servers.ports import free_port
from tests.edge.conftest import Keys
from tests.edge.live.conftest import listening
from tests.harness.certificates import Authority

STOP_SECONDS = 8.0


async def until_said(stream: asyncio.StreamReader, words: str) -> str:
    """Read the log until a line contains the words; return everything read."""
    output = ""
    async for line in stream:
        output += line.decode()
        if words in output:
            return output
    raise AssertionError(output)


@pytest.fixture
def environment(edge_dsn: str, audit_dsn: str, keys: Keys, targets: tuple[str, str]) -> dict[str, str]:
    """Settings of an edge whose services are unavailable."""
    return os.environ | {
        "PARTSTREAM_EDGE_DATABASE_URL": edge_dsn,
        "PARTSTREAM_AUDIT_DATABASE_URL": audit_dsn,
        "PARTSTREAM_INVENTORY_TARGETS": targets[0],
        "PARTSTREAM_CONTENT_TARGETS": targets[1],
        "PARTSTREAM_SIGNING_KEY_FILE": str(keys.file),
        "PARTSTREAM_JWKS": str(keys.jwks),
        "PARTSTREAM_CREDENTIAL_FILE": str(keys.credential_file),
        "PARTSTREAM_PROCESS_KEYS": str(keys.process_keys),
        "PARTSTREAM_IDENTITY_PORT": str(free_port()),
        "PARTSTREAM_REDIS_URL": "none",
        "PARTSTREAM_PORT": str(free_port()),
        "PARTSTREAM_OPERATIONS_PORT": str(free_port()),
    }


@pytest.fixture
async def process(environment: dict[str, str], database: Database) -> AsyncIterator[asyncio.subprocess.Process]:
    """A running edge."""
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edge", "serve", env=environment, stderr=asyncio.subprocess.PIPE
    )
    assert started.stderr is not None
    await asyncio.wait_for(until_said(started.stderr, "edge ready"), 60)
    yield started
    if started.returncode is None:
        started.kill()
        await started.wait()


async def test_all_missing_settings_are_reported_together() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "edge",
        "serve",
        env={"PATH": os.environ["PATH"], "PARTSTREAM_PORT": "eight thousand"},
        stderr=asyncio.subprocess.PIPE,
    )
    _, output = await process.communicate()

    assert process.returncode == 2
    for name in ("EDGE_DATABASE_URL", "AUDIT_DATABASE_URL", "INVENTORY_TARGETS", "SIGNING_KEY_FILE", "JWKS", "PORT"):
        assert f"PARTSTREAM_{name}" in output.decode()


async def test_process_serves_and_stops_on_sigterm(
    process: asyncio.subprocess.Process, environment: dict[str, str]
) -> None:
    operations = f"http://127.0.0.1:{environment['PARTSTREAM_OPERATIONS_PORT']}"
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{environment['PARTSTREAM_PORT']}") as client:
        alive = await client.get("/health/live")
        ready = await client.get("/health/ready")
        keys = await client.get("/.well-known/jwks.json")
        public_numbers = await client.get("/metrics")
        numbers = await client.get(f"{operations}/metrics")
        details = await client.get(f"{operations}/health/ready")
        schema = await client.get("/schema/openapi.json")
        nowhere = await client.get("/api/v1/nowhere")
        head = await client.head("/health/live")
        method = await client.delete("/health/live")
        away = await client.get("/api/v1/parts/LED")

        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(process.wait(), STOP_SECONDS)

    assert code == 0
    assert time.monotonic() - began < STOP_SECONDS
    assert alive.json() == {"status": "ok"}
    assert (ready.status_code, ready.json()) == (503, {"status": "down"})
    assert details.status_code == 503
    assert details.json()["checks"]["inventory"]["status"] == "down"
    assert (public_numbers.status_code, public_numbers.json()["reason"]) == (404, "ROUTE_NOT_FOUND")
    assert keys.json()["keys"][0]["crv"] == "Ed25519"
    assert "partstream_edge_requests_total" in numbers.text
    assert "_created" not in numbers.text
    assert numbers.headers["content-type"].startswith("text/plain")
    assert schema.json()["openapi"].startswith("3.1")
    assert (nowhere.status_code, nowhere.json()["reason"]) == (404, "ROUTE_NOT_FOUND")
    assert (head.status_code, head.content) == (200, b"")
    assert (method.status_code, method.json()["reason"]) == (405, "METHOD_NOT_ALLOWED")
    assert (away.status_code, away.json()["reason"]) == (503, "STORE_UNAVAILABLE")


async def test_no_response_names_the_server(process: asyncio.subprocess.Process, environment: dict[str, str]) -> None:
    """Granian writes `Server: granian` unless the application sets the field, also where it rejects a handshake."""
    base = f"http://127.0.0.1:{environment['PARTSTREAM_PORT']}"
    handshake = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    async with httpx.AsyncClient(base_url=base) as client:
        responses = {
            200: await client.get("/health/live"),
            400: await client.get("/api/v1/parts", params={"page_size": "none"}),
            401: await client.get("/api/v1/admin/users"),
            404: await client.get("/api/v1/nowhere"),
            405: await client.delete("/health/live"),
            503: await client.get("/api/v1/parts/LED"),
        }
        rejected = await client.get("/api/v1/parts", headers=handshake)
        async with client.stream("GET", "/api/v1/live", headers=handshake) as accepted:
            assert accepted.status_code == 101

    assert {expected: response.status_code for expected, response in responses.items()} == {
        expected: expected for expected in responses
    }
    assert (rejected.status_code, rejected.json()["reason"]) == (404, "ROUTE_NOT_FOUND")
    assert {response.headers.get("server", "") for response in (*responses.values(), rejected, accepted)} == {""}


async def test_request_id_of_a_trusted_proxy_reaches_problem_log_and_security_event(
    environment: dict[str, str], database: Database
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edge", "serve"),
        env=environment | {"PARTSTREAM_TRUSTED_PROXIES": "127.0.0.0/8"},
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        await asyncio.wait_for(until_said(process.stderr, "edge ready"), 60)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{environment['PARTSTREAM_PORT']}") as client:
            refused = await client.post(
                "/api/v1/auth/login",
                json={"username": "admin", "password": "a guess"},
                headers={"X-Request-Id": "proxy-4711"},
            )
        output = await asyncio.wait_for(until_said(process.stderr, "POST /api/v1/auth/login 401"), 60)
    finally:
        process.terminate()
        await process.wait()

    recorded = await database.pool.fetchval("SELECT request_id FROM security_event WHERE kind = 'login_failed'")
    assert (refused.status_code, refused.json()["request_id"]) == (401, "proxy-4711")
    assert refused.headers["partstream-request-id"] == "proxy-4711"
    assert "request_id=proxy-4711" in output.splitlines()[-1]
    assert recorded == "proxy-4711"


async def test_with_a_certificate_the_edge_serves_https(
    environment: dict[str, str], database: Database, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    own = authority.issue("edge")
    tls = {"PARTSTREAM_EDGE_TLS_CERT": str(own.certificate), "PARTSTREAM_EDGE_TLS_KEY": str(own.key)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edge", "serve"), env=environment | tls, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    address = f"127.0.0.1:{environment['PARTSTREAM_PORT']}"
    try:
        output = await asyncio.wait_for(until_said(process.stderr, "edge ready"), 60)
        trusted = ssl.create_default_context(cafile=str(authority.certificate))
        async with httpx.AsyncClient(base_url=f"https://{address}", verify=trusted) as client:
            alive = await client.get("/health/live")
        async with httpx.AsyncClient() as client:
            with pytest.raises(httpx.TransportError):
                await client.get(f"https://{address}/health/live")  # an authority that it does not know
            with pytest.raises(httpx.TransportError):
                await client.get(f"http://{address}/health/live")
    finally:
        process.terminate()
        await process.wait()

    assert f"edge ready on https://{address}" in output
    assert alive.json() == {"status": "ok"}


async def test_a_key_of_another_certificate_is_one_error_line(environment: dict[str, str], tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    tls = {
        "PARTSTREAM_EDGE_TLS_CERT": str(authority.issue("edge").certificate),
        "PARTSTREAM_EDGE_TLS_KEY": str(authority.issue("other").key),
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edge", "serve"), env=environment | tls, stderr=asyncio.subprocess.PIPE
    )
    _, output = await process.communicate()

    assert process.returncode == 2
    assert output.decode().splitlines()[1].startswith("PARTSTREAM_EDGE_TLS_KEY is wrong: ")
    assert "Traceback" not in output.decode()


async def test_port_in_use_is_one_error_line(environment: dict[str, str]) -> None:
    """The listener reported it by a panic with fifty lines of traceback."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", int(environment["PARTSTREAM_PORT"])))
        listener.listen()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "edge", "serve"), env=environment, stderr=asyncio.subprocess.PIPE
        )
        _, output = await process.communicate()

    assert process.returncode == 1
    assert f"port {environment['PARTSTREAM_PORT']} on 127.0.0.1 is taken" in output.decode()
    assert "panic" not in output.decode()
    assert "Traceback" not in output.decode()


@pytest.mark.parametrize(
    "body",
    [
        b"Transfer-Encoding: chunked\r\n\r\n1\nx\n0\n\n",
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\nx\r\n0\r\n\r\n",
        b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1\nx\n0\n\n",
        b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
    ],
)
async def test_invalid_chunks_are_a_malformed_request(
    process: asyncio.subprocess.Process, environment: dict[str, str], body: bytes
) -> None:
    """The response is no 500, and the log has no traceback."""
    port = int(environment["PARTSTREAM_PORT"])
    await listening(port)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /api/v1/auth/login HTTP/1.1\r\nHost: edge\r\n" + body)

    status = await asyncio.wait_for(reader.readline(), 10)

    writer.close()
    assert status.startswith(b"HTTP/1.1 400 ")
    assert process.stderr is not None
    output = await asyncio.wait_for(until_said(process.stderr, "POST /api/v1/auth/login 400"), 60)
    assert "Traceback" not in output


async def test_a_weak_password_of_the_first_administrator_is_rejected_before_the_migration(edge_dsn: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edge", "migrate"),
        env={
            "PATH": os.environ["PATH"],
            "PARTSTREAM_EDGE_DATABASE_URL": edge_dsn,
            "PARTSTREAM_ADMIN_PASSWORD": "adminadminadmin",
        },
        stderr=asyncio.subprocess.PIPE,
    )
    _, output = await process.communicate()

    assert process.returncode == 2
    assert output.decode().splitlines() == [
        "Invalid settings:",
        "PARTSTREAM_ADMIN_PASSWORD is wrong: This password is too easy to guess: use several unrelated words.",
    ]
