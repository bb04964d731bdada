"""Requests made up from the OpenAPI document, against a listening edge and both services, as each kind of caller.

No response has a status, header, media type or body that the document does not name, and none is a fault of ours.
Twenty seconds for each caller in the usual run; ``--fuzz-seconds`` and ``--fuzz-seed`` change that.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from edge.app import Edge
from tests.edge.raw_http import listening
from tests.edge.routes.shop import open_shop, stock

ROUND_SECONDS = 300  # an access token lasts for ten minutes
CUSTOMER = {"username": "fuzz-customer", "password": "seven correct horses"}
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
)


@pytest.fixture
async def port(edge: Edge, admin: httpx.AsyncClient) -> AsyncIterator[int]:
    """Where an edge with a small shop listens."""
    await open_shop(admin, "LED-5MM-BLUE")
    await stock(admin, 1_000)
    async with listening(edge.asgi) as number:
        yield number


async def authorization(role: str, admin: httpx.AsyncClient) -> list[str]:
    """Arguments that sign the caller in."""
    match role:
        case "customer":
            await admin.post("/auth/register", json=CUSTOMER)
            grant = (await admin.post("/auth/login", json=CUSTOMER)).json()
            return ["--header", f"Authorization: Bearer {grant['access_token']}"]
        case "admin":
            return ["--header", f"Authorization: {admin.headers['authorization']}"]
        case _:
            return []


@pytest.mark.timeout(0)
@pytest.mark.parametrize("role", ["guest", "customer", "admin"])
async def test_no_made_up_request_gets_what_the_document_does_not_name(
    port: int, admin: httpx.AsyncClient, role: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    left: int = request.config.getoption("--fuzz-seconds")
    seed: int = request.config.getoption("--fuzz-seed")
    while left > 0:
        command = [sys.executable, "-m", "schemathesis.cli", "run", f"http://127.0.0.1:{port}/schema/openapi.json"]
        command += ["--checks", ",".join(CHECKS), "--seed", str(seed), "--max-time", str(min(left, ROUND_SECONDS))]
        command += ["--phases", "examples,coverage,fuzzing,stateful", "--suppress-health-check", "all", "--no-color"]
        command += ["--workers", "1", "--max-failures", "20", *await authorization(role, admin)]
        process = await asyncio.create_subprocess_exec(
            *command, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()
        left -= ROUND_SECONDS
        seed += 1
