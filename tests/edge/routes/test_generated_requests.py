"""Requests generated from the OpenAPI document, against a listening edge and both services, as each kind of caller.

No response has a status, header, media type or body that is missing in the document, and none is a 5xx.
Twenty seconds for each caller in the usual run; ``--fuzz-seconds`` and ``--fuzz-seed`` change that.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from edge.app import Edge
from tests.edge.http.raw_http import listening
from tests.edge.routes.shop import open_shop, stock

ROUND_SECONDS = 300  # an access token lasts for ten minutes
CUSTOMER = {"username": "fuzz-customer", "password": "seven correct horses"}
# A guest stays a guest. Existing ids are used more often than by chance.
SETTINGS = """
[parameters]
"path.part_id" = "LED-5MM-RED"
"path.category_id" = "leds"
"path.location_id" = "main"
"query.page_token" = ""
"header.Partstream-Min-Revision" = ""

[auth]
auto-signup = false
"""
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
)
# Routes that can end the session of the caller, after which every request is a 401; they run separately.
ENDS_SESSIONS = "/(auth/(logout|session|refresh)|admin/(sessions|users)/.+)$"
EXCLUDED, INCLUDED = ("--exclude-path-regex", ENDS_SESSIONS), ("--include-path-regex", ENDS_SESSIONS)


@pytest.fixture
async def port(edge: Edge, admin: httpx.AsyncClient) -> AsyncIterator[int]:
    """Return the port of an edge with a small catalogue."""
    await open_shop(admin, "LED-5MM-BLUE")
    await stock(admin, 1_000)
    async with listening(edge.asgi) as number:
        yield number


async def authorization(role: str, admin: httpx.AsyncClient) -> list[str]:
    """Return the arguments that sign the caller in."""
    match role:
        case "customer":
            await admin.post("/auth/register", json=CUSTOMER)
            grant = (await admin.post("/auth/login", json=CUSTOMER)).json()
            return ["--header", f"Authorization: Bearer {grant['access_token']}"]
        case "admin":
            return ["--header", f"Authorization: {admin.headers['authorization']}"]
        case _:
            return []


async def try_api(port: int, folder: Path, arguments: list[str]) -> None:
    """Run schemathesis; the test fails with its report."""
    (folder / "schemathesis.toml").write_text(SETTINGS)
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"http://127.0.0.1:{port}/schema/openapi.json"]
    command += ["--checks", ",".join(CHECKS), "--phases", "examples,coverage,fuzzing,stateful", "--no-color"]
    command += ["--suppress-health-check", "all", "--max-failures", "20", *arguments]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()


@pytest.mark.timeout(0)
@pytest.mark.parametrize("role", ["guest", "customer", "admin"])
async def test_generated_requests_get_only_documented_responses(
    port: int, admin: httpx.AsyncClient, role: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    left: int = request.config.getoption("--fuzz-seconds")
    seed: int = request.config.getoption("--fuzz-seed")
    while left > 0:
        seconds = min(left, ROUND_SECONDS)
        signed_in = await authorization(role, admin)
        given = [*signed_in, "--seed", str(seed)]
        await try_api(port, tmp_path, [*given, *EXCLUDED, "--max-time", str(seconds)])
        assert not signed_in or await counts(port, signed_in[1])
        await try_api(port, tmp_path, [*given, *INCLUDED, "--max-time", str(max(5, seconds // 10))])
        left -= seconds
        seed += 1


async def counts(port: int, header: str) -> bool:
    """Return whether the caller is still signed in: otherwise the other requests tested nothing."""
    name, _, value = header.partition(": ")
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/api/v1") as client:
        return (await client.get("/reservations", headers={name: value})).status_code != 401
