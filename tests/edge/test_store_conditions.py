"""Failures of the edge's databases: sign-in is 503, public reads continue, and recovery needs no action."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from tests.edge.conftest import ADMIN, PASSWORD
from tests.harness.store_conditions import Conditions

if TYPE_CHECKING:
    import httpx

    from edge.app import Edge
    from tests.harness.servers import TestServers

SIGN_IN = {"username": ADMIN, "password": PASSWORD}


@pytest.fixture
def conditions(servers: TestServers, edge_dsn: str) -> Conditions:
    return Conditions(servers.admin_dsn, edge_dsn)


async def sign_in(client: httpx.AsyncClient) -> httpx.Response:
    return await client.post("/auth/login", json=SIGN_IN)


async def until_signed_in(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(60):
        while (await sign_in(client)).status_code == 503:  # noqa: ASYNC110 - it is asked over HTTP
            await asyncio.sleep(0.05)


async def until_writes(edge: Edge, wanted: str) -> None:
    async with asyncio.timeout(30):
        while (await edge.health.readiness()).checks["database-writes"].status != wanted:  # noqa: ASYNC110 - likewise
            await asyncio.sleep(0.05)


def faults(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR and record.exc_info]


def alerts_of(edge: Edge, conditions: Conditions) -> list[str]:
    names = ("database_writes_failing", "database_unavailable")
    return [name for name in names if conditions.name in edge.alerts.firing(name)]


async def test_read_only_database_rejects_sign_ins_is_reported_and_recovers(
    edge: Edge, client: httpx.AsyncClient, conditions: Conditions, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with conditions.read_only():
        await until_writes(edge, "degraded")
        responses = [await sign_in(client) for _ in range(3)]
        async with asyncio.timeout(30):
            while not alerts_of(edge, conditions):  # noqa: ASYNC110 - it is looked at every second
                await asyncio.sleep(0.05)

    await until_signed_in(client)
    await until_writes(edge, "ok")

    assert {response.status_code for response in responses} == {503}
    problem: dict[str, Any] = responses[-1].json()
    assert (problem["reason"], problem["metadata"]["cause"]) == ("STORE_UNAVAILABLE", "read_only")
    assert int(responses[-1].headers["Retry-After"]) >= 1
    assert faults(caplog) == []
    # A session that is ended in the middle of a statement is another cause, and may come first.
    begun = [line for record in caplog.records if "writes fail database" in (line := record.getMessage())]
    assert len([line for line in begun if "cause=read_only" in line]) == 1, begun
    async with asyncio.timeout(30):
        while alerts_of(edge, conditions):  # noqa: ASYNC110 - likewise
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("sqlstate", "status", "reason"),
    [
        ("53100", 503, "STORE_UNAVAILABLE"),
        ("53200", 503, "STORE_UNAVAILABLE"),
        ("XX001", 503, "STORE_UNAVAILABLE"),
        ("55P03", 503, "OVERLOADED"),
        ("40001", 503, "OVERLOADED"),
        ("57014", 504, "DEADLINE"),
    ],
)
async def test_each_failure_has_its_own_status_and_reason(
    edge: Edge,
    client: httpx.AsyncClient,
    conditions: Conditions,
    caplog: pytest.LogCaptureFixture,
    sqlstate: str,
    status: int,
    reason: str,
) -> None:
    async with conditions.failing("login_attempt", sqlstate):
        response = await sign_in(client)

    assert (response.status_code, response.json()["reason"]) == (status, reason)
    assert "SECRET" not in response.text
    assert ("Retry-After" in response.headers) == (status == 503)
    assert faults(caplog) == []
    assert edge.health is not None


async def test_lock_wait_is_bounded_by_the_statement_timeout(
    edge: Edge, client: httpx.AsyncClient, conditions: Conditions, caplog: pytest.LogCaptureFixture
) -> None:
    """A sign-in waited for 30 s, and ten of them used up the connection pool."""
    with conditions.locked(b"LOCK TABLE login_attempt IN ACCESS EXCLUSIVE MODE"):
        response = await sign_in(client)

    await until_signed_in(client)

    assert response.status_code in {503, 504}
    assert faults(caplog) == []
    assert edge.health is not None
