"""A content service in the test process: real database, real gRPC on a free port."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from chassis.database import Database
from chassis.tokens import SigningKey
from content_svc.app import App
from content_svc.settings import Settings
from tests.content_svc.running_service import RunningService
from tests.harness.no_limits import without_rates


@asynccontextmanager
async def _running(dsn: str, key: SigningKey, jwks: Path) -> AsyncIterator[RunningService]:
    settings = Settings(
        database_url=dsn, jwks=str(jwks), port=0, pool_size=6, revocation_targets=None, limits=without_rates()
    )
    app = App(settings, await Database.open(dsn, application_name="content_svc", max_size=6))
    await app.start()
    running = RunningService(app, key, dsn)
    try:
        yield running
    finally:
        await running.close()
        await app.stop()


@pytest.fixture
def key() -> SigningKey:
    """The signing key that all replicas trust."""
    return SigningKey.generate()


@pytest.fixture
def jwks(key: SigningKey, tmp_path: Path) -> Path:
    """The key set file of the replicas."""
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps(key.jwks()))
    return path


@pytest.fixture
async def service(content_dsn: str, key: SigningKey, jwks: Path) -> AsyncIterator[RunningService]:
    """A running service with a client for staff and one without a token."""
    async with _running(content_dsn, key, jwks) as running:
        yield running


@pytest.fixture
async def replica(content_dsn: str, key: SigningKey, jwks: Path) -> AsyncIterator[RunningService]:
    """A second replica of the service on the same database."""
    async with _running(content_dsn, key, jwks) as running:
        yield running


@pytest.fixture
async def sql(content_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A plain SQL session."""
    connection = await asyncpg.connect(content_dsn)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
async def resistors(service: RunningService) -> str:
    """A category."""
    return await service.add_category("resistors", "Resistors")
